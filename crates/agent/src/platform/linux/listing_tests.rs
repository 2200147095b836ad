//! What jobs write into the engine's list of containers cannot keep it from being read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use ionet_core::fault::WorkFault;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::engine;
use super::listing::Elements;
use super::stage::{ALLOC, Stage};

/// An engine with containers of ours, by their state.
#[derive(Clone, Default)]
struct Engine {
    containers: Arc<Mutex<BTreeMap<String, String>>>,
    /// What stands in a label of each, as JSON.
    label: Arc<Mutex<String>>,
    /// All that it lists, where that is no list of its containers.
    instead: Arc<Mutex<Option<String>>>,
}

impl Engine {
    fn start(stage: &Stage, containers: usize) -> Self {
        let engine = Self { label: Arc::new(Mutex::new("null".to_owned())), ..Self::default() };
        let all = (0..containers).map(|number| (format!("c{number}"), "running".to_owned()));
        engine.containers.lock().unwrap().extend(all);
        let listener = UnixListener::bind(stage.dir.path().join("docker.sock")).unwrap();
        let folder = stage.data().join("alloc").join(ALLOC).join("alloc").display().to_string();
        let served = engine.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (engine, folder) = (served.clone(), folder.clone());
                let answer = service_fn(move |request: Request<Incoming>| {
                    let body = engine.answer(request.method(), request.uri().path(), &folder);
                    async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        engine
    }

    fn answer(&self, method: &Method, path: &str, folder: &str) -> String {
        let mut containers = self.containers.lock().unwrap();
        let mut parts = path.trim_start_matches("/containers/").split('/');
        let id = parts.next().unwrap_or_default();
        let to = match parts.next() {
            Some("stop") => "exited",
            _ if id == "json" => {
                let listed = containers.iter().map(|(id, state)| self.listed(id, state, folder));
                let list = || format!("[{}]", listed.collect::<Vec<_>>().join(","));
                return self.instead.lock().unwrap().clone().unwrap_or_else(list);
            }
            _ => "",
        };
        if method == Method::DELETE {
            containers.remove(id);
        } else if !to.is_empty() {
            containers.insert(id.to_owned(), to.to_owned());
        }
        "{}".to_owned()
    }

    fn listed(&self, id: &str, state: &str, folder: &str) -> String {
        let label = self.label.lock().unwrap();
        let mounts = json!([{"Type": "bind", "Source": folder}]);
        format!(r#"{{"Id": "{id}", "Labels": {{"a": {label}}}, "State": "{state}", "Mounts": {mounts}}}"#)
    }

    fn states(&self) -> Vec<String> {
        self.containers.lock().unwrap().values().cloned().collect()
    }
}

#[tokio::test]
async fn containers_are_found_and_removed_however_much_jobs_have_the_engine_list_of_them() {
    let stage = Stage::new();
    let engine = Engine::start(&stage, 20);
    *engine.label.lock().unwrap() = format!("\"\\\\\\\"}}]{}\"", "x".repeat(1024 * 1024));
    let socket = stage.dir.path().join("docker.sock");

    assert_eq!(count(&socket).await, Ok(20));
    assert_eq!(at(&socket).remove_all(Duration::from_secs(1)).await, Ok(()));

    assert_eq!(engine.states(), [] as [&str; 0]);
}

fn at(socket: &Path) -> engine::Engine<'_> {
    engine::Engine::at(Some(socket), Duration::from_secs(20)).unwrap()
}

async fn count(socket: &Path) -> Result<usize, WorkFault> {
    Ok(at(socket).containers().await?.len())
}

#[tokio::test]
async fn a_container_of_which_no_image_is_said_is_one_all_the_same() {
    let stage = Stage::new();
    let engine = Engine::start(&stage, 1);
    let list = json!([{"Id": "c0", "State": "running", "Mounts": null, "ImageID": null}]);
    *engine.instead.lock().unwrap() = Some(list.to_string());
    let socket = stage.dir.path().join("docker.sock");

    assert_eq!(count(&socket).await, Ok(1));
}

/// Nothing is gone because it was not read.
#[tokio::test]
async fn an_answer_that_is_no_whole_list_is_a_fault() {
    let stage = Stage::new();
    let engine = Engine::start(&stage, 1);
    let socket = stage.dir.path().join("docker.sock");

    for list in
        ["", "{}", "null", "[", "[{}]", "[1]", "[{\"Id\": \"c0\"", "[] []", "[}", "[]]", "[{\"Id\": \"c0\"}]"]
    {
        *engine.instead.lock().unwrap() = Some(list.to_owned());
        assert_eq!(count(&socket).await, Err(WorkFault::EngineDown), "{list}");
    }
    *engine.instead.lock().unwrap() = Some(" [ ] \n".to_owned());
    assert_eq!(count(&socket).await, Ok(0));
}

/// All elements of a list that comes in pieces of that many bytes.
fn cut(list: &str, length: usize) -> Option<Vec<Value>> {
    let (mut elements, mut found) = (Elements::default(), Vec::new());
    let mut keep = |element: &[u8]| {
        found.push(serde_json::from_slice(element).unwrap());
        true
    };
    let is_list = list.as_bytes().chunks(length).all(|piece| elements.take(piece, &mut keep));
    (is_list && elements.is_over()).then_some(found)
}

#[test]
fn a_list_is_read_whatever_stands_in_it_and_in_whatever_pieces_it_comes() {
    let list = json!([
        {"a": "}]\"\\", "b\"": [1, -2.5, [true, null], {"c": {}}], "": "\\\\\"{[\u{1}\u{e9}"},
        {},
        {"a": []},
    ]);
    for length in 1..200 {
        let pretty = serde_json::to_string_pretty(&list).unwrap();
        for text in [list.to_string(), pretty] {
            assert_eq!(cut(&text, length).map(Value::from), Some(list.clone()), "{length}");
        }
    }
}

#[test]
fn a_text_that_is_longer_than_any_path_is_left_empty_wherever_it_would_be_cut() {
    for letters in ["x", "\"", "\\", "\u{1}", "\u{e9}", "\\\"\u{1}"] {
        for before in 0..8 {
            let long = format!("{}{}", "y".repeat(before), letters.repeat(40_000));
            let list = json!([{"a": long, "b": "B"}, {"a": "A"}]).to_string();
            assert_eq!(
                cut(&list, 4_096),
                Some(vec![json!({"a": "", "b": "B"}), json!({"a": "A"})]),
                "{letters:?}"
            );
        }
    }
}
