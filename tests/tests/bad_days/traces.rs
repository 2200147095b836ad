//! What a customer gave a job is the customer's: when the job is over, it is nowhere on this PC.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ionet_core::Phase;
use journeys::files;
use journeys::site::Site;
use journeys::wait::{PATIENCE, until, until_seen};
use serde_json::{Value, json};

use crate::PAUSED;

const WORDS: usize = 50;

/// In every place where a job's specification can hold a word, and wherever its task can write one.
fn plant(job: &mut Value, words: &[String]) {
    let mut words = words.iter();
    let mut next = || words.next().unwrap().clone();
    let mut named =
        |count: usize| (0..count).map(|_| (next(), Value::from(next()))).collect::<serde_json::Map<_, _>>();
    let (of_job, of_group, of_task, environment) = (named(2), named(2), named(2), named(6));
    let templates: Vec<Value> = ["local", "secrets", "local/deep"]
        .map(|folder| json!({"EmbeddedTmpl": next(), "DestPath": format!("{folder}/{}", next())}))
        .into();
    let folders =
        ["$NOMAD_ALLOC_DIR/data", "$NOMAD_ALLOC_DIR/tmp", "$NOMAD_TASK_DIR", "$NOMAD_SECRETS_DIR", "."];
    let written = folders.map(|folder| {
        format!("mkdir -p {folder}/{0} && echo {1} >{folder}/{0}/{2};", next(), next(), next())
    });
    let task_words: Vec<String> = std::iter::from_fn(|| words.next().cloned()).collect();
    let all = &mut job["Job"];
    all["Meta"] = of_job.into();
    let group = &mut all["TaskGroups"][0];
    group["Meta"] = of_group.into();
    let task = &mut group["Tasks"][0];
    task["Meta"] = of_task.into();
    task["Env"] = environment.into();
    task["Templates"] = templates.into();
    let script = format!("{} echo ready; while :; do sleep 0.1; done", written.concat());
    let mut arguments = vec!["-c".to_owned(), script, "work".to_owned()];
    arguments.extend(task_words);
    task["Config"]["args"] = json!(arguments);
}

/// More than any file of the app's or the agent's has.
const LARGE: u64 = 32 << 20;

/// Files, folders and links that were written `since` then and hold what all the words begin with, or are named so; each with its
/// name and what it holds.
fn found(folder: &Path, mark: &str, since: SystemTime) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        let Ok(about) = entry.metadata() else { continue };
        let fresh = about.modified().is_ok_and(|at| at >= since) && about.len() < LARGE;
        let said = if kind.is_file() && fresh {
            fs::read(&path).unwrap_or_default()
        } else if kind.is_symlink() {
            fs::read_link(&path).unwrap_or_default().into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        let named = entry.file_name().to_string_lossy().contains(mark);
        if named || said.windows(mark.len()).any(|part| part == mark.as_bytes()) {
            let text = format!("{} {}", path.display(), String::from_utf8_lossy(&said));
            found.push((path.clone(), text));
        }
        if kind.is_dir() {
            found.extend(self::found(&path, mark, since));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
async fn after_a_job_none_of_its_fifty_words_is_anywhere_on_the_pc() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let (node, began) = (pc.node().await, SystemTime::now());
    let mark = format!("planted_{}_", std::process::id());
    let words: Vec<String> = (0..WORDS).map(|number| format!("{mark}{number:02}")).collect();
    let mut job = ionet_stage::example_job("letter", false);
    plant(&mut job, &words);

    site.stage.submit_job(&job).await.unwrap();
    pc.phase(&Phase::Earning).await;
    let allocation = until("the region runs it", PATIENCE, || async {
        Ok(site.live(&node).await?.into_iter().find(|one| one["ClientStatus"] == "running"))
    })
    .await
    .unwrap();
    let id = allocation["ID"].as_str().unwrap();
    until_seen("the task has written", PATIENCE, || Ok((pc.printed(id) > 0).then_some(()))).await.unwrap();
    let places = [site.folder("pc"), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into(), "/run".into()];
    let on_the_pc = || {
        let all = places.iter().flat_map(|place| found(place, &mark, began));
        // The servers stand beside the PC here, and keep what their customers sent them.
        all.filter(|(path, _)| !path.starts_with(site.folder("stage"))).collect::<Vec<_>>()
    };
    let planted = on_the_pc();
    let missing: Vec<&String> =
        words.iter().filter(|word| !planted.iter().any(|(_, text)| text.contains(*word))).collect();
    assert!(missing.is_empty(), "not planted: {missing:?}");
    let allocations = pc.pc.folders().agent_data().join("alloc");
    let written = planted.iter().filter(|(path, _)| path.starts_with(&allocations)).count();
    assert!(written >= 10, "a folder and a file in each of five places: {written}");
    site.stage.operator().stop_job("letter").await.unwrap();
    pc.online().await;
    pc.command("pause").await;
    pc.phase(&PAUSED).await;

    until_seen("no word is left", PATIENCE, || {
        let left: Vec<PathBuf> = on_the_pc().into_iter().map(|(path, _)| path).collect();
        anyhow::ensure!(left.is_empty(), "{left:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_of_the_other_side_is_anywhere_on_the_pc() {
    let Some(site) = Site::start().await else { return };
    let secret = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name == "secret-key" || name.ends_with(".token") || name.ends_with("-key.pem")
    };
    let files = files::below(&site.folder("stage")).unwrap().into_iter().filter(secret);
    let secrets: Vec<String> =
        files.map(|file| fs::read_to_string(file).unwrap().trim().to_owned()).collect();
    assert!(secrets.len() >= 8 && secrets.iter().all(|secret| secret.len() > 16), "{}", secrets.len());
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    site.job("letter", &pc).await;
    site.stage.operator().stop_job("letter").await.unwrap();
    pc.until("its logs are shipped", |now| now.logs.last_shipped_at.is_some()).await;

    let said = pc.pc.processes(None).into_iter().flat_map(|process| {
        let around = process.environment().into_iter().map(|(_, value)| value);
        around.chain([process.command.clone()]).collect::<Vec<_>>()
    });
    let said: Vec<String> = said.collect();
    assert!(!said.is_empty());
    for secret in secrets {
        assert!(!said.iter().any(|text| text.contains(&secret)), "in a command or an environment");
        let kept = files::containing(pc.pc.home(), secret.as_bytes()).unwrap();
        assert!(kept.is_empty(), "{kept:?}");
    }
}
