//! Requests that are no container's description: other routes of the engine, and what changes after a description was let in.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::gate::{asks, put};
use crate::attack::{Attack, Verdict};
use crate::customer::{ALLOCATION, ANOTHER, Customer, OWNERS_WORD, reason};
use crate::sides::By;
use crate::stage::Stage;

const OWN: &str = "work-fedbb3b1-dae0-a47b-538b-62dec51212a9";

pub(super) fn all() -> Vec<Attack> {
    let all = vec![
        asks("a container without a word on the version", unversioned),
        asks("a container under a name of its choice", named),
        asks("a container of nobody's task", nobodys),
        asks("every right for a program beside its own (exec)", exec),
        asks("more memory once it runs (update)", update),
        asks("another name once it runs (rename)", |stage| {
            on_its_own(stage, "POST", "/rename?name=renamed", b"", |stage| {
                let is_renamed = stage.engine.look("renamed").is_ok();
                stage.engine.remove("renamed");
                Ok(is_renamed)
            })
        }),
        asks("its folder, once it was looked at, become a link to another's", swapped),
        asks("a volume with the root in it", |stage| {
            let body = json!({"Name": "rooted", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}});
            told(stage, "/volumes/create", &body, "/volumes/rooted")
        }),
        asks("a network of its own", |stage| {
            told(stage, "/networks/create", &json!({"Name": "own"}), "/networks/own")
        }),
        asks("the end of what others have stopped (prune)", pruned),
        asks("all of another container (export)", exported),
    ];
    all.into_iter().map(Attack::alone).collect()
}

fn unversioned(stage: &Stage) -> Result<Verdict> {
    let body = Customer::plain(ALLOCATION).to_string();
    let path = format!("/containers/create?name={OWN}");
    let heard = stage.customer()?.ask_plainly("POST", &path, body.as_bytes());
    is_made(stage, OWN, heard)
}

fn named(stage: &Stage) -> Result<Verdict> {
    let body = Customer::plain(ALLOCATION).to_string();
    let heard = stage.customer()?.ask("POST", "/containers/create?name=owners-db", JSON, body.as_bytes());
    is_made(stage, "owners-db", heard)
}

fn nobodys(stage: &Stage) -> Result<Verdict> {
    let mut asked = Customer::plain(ALLOCATION);
    put(&mut asked, "/Labels", json!({}));
    let heard = stage.customer()?.create(ALLOCATION, &asked.to_string());
    is_made(stage, OWN, heard.map(String::into_bytes))
}

const JSON: &str = "application/json";

fn is_made(stage: &Stage, name: &str, heard: Result<Vec<u8>>) -> Result<Verdict> {
    let succeeded = stage.engine.look(name).is_ok();
    stage.engine.remove(name);
    Ok(verdict(succeeded, heard))
}

pub(super) fn verdict(succeeded: bool, heard: Result<Vec<u8>>) -> Verdict {
    let detail = heard.map_or_else(|error| reason(&error), |_| "it was answered".to_owned());
    Verdict { succeeded, detail }
}

/// While a plain container of the customer's runs.
fn running(stage: &Stage, deed: impl FnOnce(&Customer) -> Result<Verdict>) -> Result<Verdict> {
    let customer = stage.customer()?;
    let id = customer.create(ALLOCATION, &Customer::plain(ALLOCATION).to_string())?;
    let verdict = customer.start(&id).and_then(|_| deed(customer));
    stage.engine.remove(OWN);
    verdict
}

fn on_its_own(
    stage: &Stage,
    method: &str,
    path: &str,
    body: &[u8],
    came_true: impl FnOnce(&Stage) -> Result<bool>,
) -> Result<Verdict> {
    running(stage, |customer| {
        let heard = customer.ask(method, &format!("/containers/{OWN}{path}"), JSON, body);
        Ok(verdict(came_true(stage)?, heard))
    })
}

fn exec(stage: &Stage) -> Result<Verdict> {
    let asked = json!({"Cmd": ["/walls", "inside", "may", "swap"], "Privileged": true}).to_string();
    on_its_own(stage, "POST", "/exec", asked.as_bytes(), |stage| {
        let made = stage.engine.look(OWN)?;
        let ids = made["ExecIDs"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let has_rights = |id: &str| -> Result<bool> {
            let exec: Value = serde_json::from_slice(&stage.engine.get(&format!("/exec/{id}/json"))?)?;
            Ok(exec["ProcessConfig"]["privileged"] == true)
        };
        ids.map(has_rights).try_fold(false, |any, one| Ok(any || one?))
    })
}

fn update(stage: &Stage) -> Result<Verdict> {
    const MUCH: u64 = 512 << 20;
    let asked = json!({"Memory": MUCH, "MemorySwap": MUCH * 2}).to_string();
    on_its_own(stage, "POST", "/update", asked.as_bytes(), |stage| {
        Ok(stage.engine.look(OWN)?["HostConfig"]["Memory"] == MUCH)
    })
}

/// Two tasks of an allocation exchange a folder for a link while a third is about to start.
fn swapped(stage: &Stage) -> Result<Verdict> {
    let customer = stage.customer()?;
    let folder = format!("/data/agent/alloc/{ALLOCATION}/work/local");
    let id = customer.create(ALLOCATION, &Customer::plain(ALLOCATION).to_string())?;
    let another = format!("/data/agent/alloc/{ANOTHER}/work/secrets");
    let exchanged =
        stage.shell(By::CapsuleRoot, &format!("mv {folder} {folder}.aside && ln -s {another} {folder}"))?;
    let heard = customer.start(&id);
    let runs = stage.engine.lives(OWN);
    stage.engine.remove(OWN);
    stage.shell(By::CapsuleRoot, &format!("rm {folder} && mv {folder}.aside {folder}"))?;
    ensure!(exchanged.status == 0, "it cannot be exchanged: {exchanged:?}");
    Ok(verdict(runs, heard))
}

/// Something that the engine keeps then at that place.
fn told(stage: &Stage, path: &str, body: &Value, kept_at: &str) -> Result<Verdict> {
    let heard = stage.customer()?.ask("POST", path, JSON, body.to_string().as_bytes());
    let is_kept = stage.engine.get(kept_at).is_ok();
    stage.engine.forget(kept_at);
    Ok(verdict(is_kept, heard))
}

fn pruned(stage: &Stage) -> Result<Verdict> {
    let id = stage.engine.start(&["/bin/true"], &[], &json!({"NetworkMode": "none"}))?;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while stage.engine.lives(&id) {
        ensure!(std::time::Instant::now() < deadline, "the other container does not end");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let heard = stage.customer()?.ask("POST", "/containers/prune", JSON, b"");
    let is_gone = stage.engine.look(&id).is_err();
    stage.engine.remove(&id);
    Ok(verdict(is_gone, heard))
}

fn exported(stage: &Stage) -> Result<Verdict> {
    let other = stage.attacker(By::Job)?;
    let said = stage.shell(By::Job, &format!("echo {OWNERS_WORD} >/word"))?;
    ensure!(said.status == 0, "the other has no file: {said:?}");
    let heard = stage.customer()?.ask("GET", &format!("/containers/{other}/export"), JSON, b"");
    let read = heard.as_ref().is_ok_and(|heard| has(heard, OWNERS_WORD));
    Ok(verdict(read, heard))
}

pub(super) fn has(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|part| part == word.as_bytes())
}

/// The id that an image's name means.
pub(super) fn meant_by(stage: &Stage, image: &str) -> Result<String> {
    let said: Value = serde_json::from_slice(&stage.engine.get(&format!("/images/{image}/json"))?)?;
    Ok(said["Id"].as_str().context("an image without an id")?.to_owned())
}
