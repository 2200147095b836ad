use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::super::gate::Gate;
use super::super::gate_tests::{post, say};
use super::*;
use crate::admission::{Route, way};

const HOUR: Duration = Duration::from_secs(3_600);

/// An engine with images by reference, and with containers of ours.
#[derive(Default)]
struct Store {
    images: BTreeMap<String, String>,
    /// What can be pulled, with the id under which it comes.
    registry: BTreeMap<String, String>,
    /// What the owner builds while a pull goes on.
    built_meanwhile: Option<String>,
    containers: Vec<Value>,
    /// Those that somebody's container uses.
    held: Vec<String>,
    removed: Vec<String>,
}

struct Stand {
    dir: tempfile::TempDir,
    store: Arc<Mutex<Store>>,
    images: Images,
    _gate: Gate,
}

impl Stand {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (socket, data_dir) = (dir.path().join("engine.sock"), dir.path().join("agent"));
        fs::create_dir_all(data_dir.join("alloc")).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let store = Arc::new(Mutex::new(Store::default()));
        let kept = Arc::clone(&store);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (status, body) = kept.lock().unwrap().answer(request.method(), request.uri());
                    let answer =
                        Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap();
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        let gate = dir.path().join("gate.sock");
        let _gate = Gate::open(gate, &socket, &data_dir, Vec::new(), Arc::new(|_| ())).unwrap();
        let images = Images::of(&socket, &data_dir);
        Self { dir, store, images, _gate }
    }

    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// The engine has it from now on.
    fn has(&self, image: &str) {
        self.store().images.insert(image.to_owned(), format!("sha256:{image}"));
    }

    /// A job's pull, through the gate.
    async fn pull(&self, image: &str) -> String {
        let (name, tag) = image.split_once(':').unwrap();
        let target = format!("/v1.44/images/create?fromImage={name}&tag={tag}");
        say(&self.dir.path().join("gate.sock"), &post(&target, "")).await
    }

    async fn brought(&self, image: &str) {
        self.store().registry.insert(image.to_owned(), format!("sha256:{image}"));
        let answer = self.pull(image).await;
        assert!(answer.contains("Downloaded"), "{answer}");
    }

    fn noted(&self) -> Vec<String> {
        let mut noted: Vec<_> = noted(&self.images.data_dir).into_iter().map(|note| note.image).collect();
        noted.sort_unstable();
        noted
    }

    /// As after so long a time.
    fn unused_for(&self, image: &str, time: Duration) {
        let file = note_file(&self.images.data_dir, image);
        if let Ok(file) = fs::File::options().write(true).open(file) {
            file.set_modified(SystemTime::now() - time).unwrap();
        }
    }

    async fn collect(&self) -> Vec<String> {
        collect(&self.images.data_dir, &self.images.engine, HOUR).await;
        std::mem::take(&mut self.store().removed)
    }
}

impl Store {
    fn answer(&mut self, method: &Method, uri: &Uri) -> (u16, String) {
        let path = uri.path().trim_start_matches("/v1.44");
        if path.starts_with("/containers/json") {
            return (200, json!(self.containers).to_string());
        }
        if let Ok(Route::Pull(image)) = way(method, uri).map(|way| way.route) {
            return self.pull(image);
        }
        let image = path.trim_start_matches("/images/").trim_end_matches("/json").to_owned();
        match self.images.get(&image).cloned() {
            None => (404, json!({"message": "No such image"}).to_string()),
            Some(id) if *method == Method::GET => (200, json!({ "Id": id }).to_string()),
            Some(_) if self.held.contains(&image) => (409, json!({"message": "in use"}).to_string()),
            Some(_) => {
                self.images.remove(&image);
                self.removed.push(image);
                (200, json!([]).to_string())
            }
        }
    }

    /// As an engine tells how a pull gets on: that it failed, too, long after it has begun its answer.
    fn pull(&mut self, image: String) -> (u16, String) {
        let begun = json!({"status": "Pulling from x", "id": "1"});
        if let Some(built) = self.built_meanwhile.take() {
            self.images.insert(built, "sha256:owners".to_owned());
        }
        let ended = match self.registry.get(&image) {
            Some(id) => {
                self.images.insert(image, id.clone());
                json!({"status": "Status: Downloaded newer image for x"})
            }
            None => json!({"errorDetail": {"message": "not found"}, "error": "not found"}),
        };
        (200, format!("{begun}\r\n{ended}\r\n"))
    }
}

#[tokio::test]
async fn an_image_that_a_job_brought_goes_an_hour_after_its_last_use_whatever_agents_came_and_went() {
    let stand = Stand::start();
    stand.brought("cuda:12").await;

    stand.unused_for("cuda:12", HOUR / 2);
    assert_eq!(stand.collect().await, [] as [&str; 0], "not yet");
    stand.unused_for("cuda:12", HOUR);
    assert_eq!(stand.collect().await, ["cuda:12"]);

    assert_eq!(stand.noted(), [] as [&str; 0]);
    assert_eq!(stand.collect().await, [] as [&str; 0], "once");
}

/// A pull would have the owner's name mean another image.
#[tokio::test]
async fn an_image_that_was_there_before_a_job_asked_for_it_is_the_owners_and_stays_as_it_is() {
    let stand = Stand::start();
    stand.has("owners:1");
    stand.store().registry.insert("owners:1".to_owned(), "sha256:other".to_owned());

    let answer = stand.pull("owners:1").await;

    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("a name that is taken"), "{answer}");
    assert_eq!(stand.store().images["owners:1"], "sha256:owners:1");
    assert_eq!(stand.noted(), [] as [&str; 0]);
    assert!(!stand.images.has_brought("sha256:owners:1").await);
    stand.brought("cuda:12").await;
    assert!(stand.images.has_brought("sha256:cuda:12").await);
}

/// What a job only named is not what it brought.
#[tokio::test]
async fn an_image_that_the_owner_makes_under_a_name_that_a_job_asked_for_in_vain_stays() {
    let stand = Stand::start();

    assert!(stand.pull("owners:1").await.contains("not found"));
    stand.has("owners:1");
    stand.store().built_meanwhile = Some("owners:2".to_owned());
    assert!(stand.pull("owners:2").await.contains("not found"));
    for image in ["owners:1", "owners:2"] {
        stand.unused_for(image, HOUR * 2);
    }

    assert_eq!(stand.collect().await, [] as [&str; 0]);
    assert_eq!(stand.noted(), [] as [&str; 0]);
}

#[tokio::test]
async fn an_image_that_the_owner_makes_under_the_name_of_one_that_a_job_brought_stays() {
    let stand = Stand::start();
    stand.brought("cuda:12").await;
    stand.store().images.insert("cuda:12".to_owned(), "sha256:owners".to_owned());
    stand.unused_for("cuda:12", HOUR * 2);

    assert_eq!(stand.collect().await, [] as [&str; 0]);
    assert_eq!(stand.noted(), [] as [&str; 0], "nor is it a job's once more");

    stand.brought("cuda:11").await;
    stand.store().images.insert("cuda:11".to_owned(), "sha256:owners".to_owned());
    stand.store().registry.clear();
    stand.pull("cuda:11").await;
    stand.unused_for("cuda:11", HOUR * 2);

    assert_eq!(stand.collect().await, [] as [&str; 0], "it was there before that pull");
}

#[tokio::test]
async fn an_image_that_a_job_brings_anew_goes_as_what_it_is_by_then() {
    let stand = Stand::start();
    stand.brought("cuda:12").await;
    stand.store().registry.insert("cuda:12".to_owned(), "sha256:newer".to_owned());
    stand.pull("cuda:12").await;
    stand.store().registry.clear();
    stand.pull("cuda:12").await;
    stand.unused_for("cuda:12", HOUR * 2);

    assert_eq!(stand.collect().await, ["cuda:12"]);
}

/// As earlier versions noted them: by a name alone.
#[tokio::test]
async fn a_note_that_does_not_say_which_image_is_meant_is_dropped() {
    let stand = Stand::start();
    let file = note_file(&stand.images.data_dir, "cuda:12");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "cuda:12").unwrap();
    stand.has("cuda:12");
    stand.unused_for("cuda:12", HOUR * 2);

    assert_eq!(stand.collect().await, [] as [&str; 0]);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_job_that_uses_an_image_keeps_it_and_while_it_is_there_nothing_is_removed() {
    let stand = Stand::start();
    stand.brought("used:1").await;
    stand.brought("other:1").await;
    for image in ["used:1", "other:1"] {
        stand.unused_for(image, HOUR * 2);
    }
    let folder = stand.images.data_dir.join("alloc/a1/alloc");
    let mounts = [json!({ "Source": folder })];
    let container = json!({"Id": "c1", "State": "running", "ImageID": "sha256:used:1", "Mounts": mounts});
    stand.store().containers.push(container);

    assert_eq!(stand.collect().await, [] as [&str; 0]);
    stand.store().containers.clear();

    assert_eq!(stand.collect().await, ["other:1"], "the other one was used a moment ago");
}

#[tokio::test]
async fn an_image_that_anybodys_container_uses_stays_and_one_that_is_gone_is_forgotten() {
    let stand = Stand::start();
    stand.brought("held:1").await;
    stand.brought("gone:1").await;
    stand.unused_for("held:1", HOUR * 2);
    stand.store().held.push("held:1".to_owned());
    stand.store().images.remove("gone:1");

    assert_eq!(stand.collect().await, [] as [&str; 0]);

    assert_eq!(stand.noted(), ["held:1"]);
}

#[tokio::test]
async fn an_image_that_is_looked_at_for_a_job_is_used_by_it() {
    let stand = Stand::start();
    stand.brought("cuda:12").await;
    stand.unused_for("cuda:12", HOUR * 2);

    stand.images.uses("docker.io/library/cuda:12").await;

    assert_eq!(stand.collect().await, [] as [&str; 0]);
}

#[tokio::test]
async fn an_engine_that_is_gone_or_silent_takes_nothing_with_it() {
    let stand = Stand::start();
    stand.brought("cuda:12").await;
    stand.unused_for("cuda:12", HOUR * 2);

    collect(&stand.images.data_dir, &stand.dir.path().join("none.sock"), HOUR).await;

    assert_eq!(stand.noted(), ["cuda:12"]);
}

#[test]
fn a_reference_is_never_one_that_could_be_the_beginning_of_an_id() {
    for (image, written) in [
        ("redis", Some("redis:latest")),
        ("docker.io/library/redis:7", Some("redis:7")),
        ("registry.example:5000/a/b", Some("registry.example:5000/a/b:latest")),
        ("index.example/a:1", Some("index.example/a:1")),
        ("nvcr.io/nvidia/cuda:12.4", Some("nvcr.io/nvidia/cuda:12.4")),
        ("a/b@sha256:0123", Some("a/b@sha256:0123")),
        ("ab12", Some("ab12:latest")),
        ("sha256:0123", None),
        ("a/../../containers/x:1", None),
        ("a?force=1:x", None),
        ("a%2e%2e/b:1", None),
        ("/x:1", None),
        ("", None),
    ] {
        assert_eq!(reference(image).as_deref(), written, "{image}");
    }
}
