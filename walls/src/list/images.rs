//! Images: the owner's own and another job's stay what they are and whose they are, whatever a customer asks.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::gate::{asks, put};
use super::requests::{has, meant_by, verdict};
use crate::attack::{Attack, Verdict};
use crate::customer::{ALLOCATION, ASTRAY, Customer, OFFERED, OWNERS, OWNERS_WORD};
use crate::sides::{By, Layer};
use crate::stage::Stage;

pub(super) fn all() -> Vec<Attack> {
    let all = not_for_jobs().into_iter().chain(under_its_name());
    all.map(|attack| Attack { layer: Layer::Images, ..attack.alone() }).collect()
}

fn not_for_jobs() -> Vec<Attack> {
    let reads = |path: &'static str, word: &'static str| move |stage: &Stage| learns(stage, path, word);
    vec![
        asks("a container of an image that is not for jobs, by its name", |stage| runs(stage, OWNERS)),
        asks("a container of an image that is not for jobs, by its id", |stage| {
            runs(stage, &meant_by(stage, OWNERS)?)
        }),
        asks("a container of an image that is not for jobs, by a part of its id", |stage| {
            let id = meant_by(stage, OWNERS)?;
            runs(stage, id.get(7..19).context("a short id")?)
        }),
        asks("an image that begins in a folder of the kernel's", |stage| runs(stage, ASTRAY)),
        asks(
            "what an image that is not for jobs says of itself",
            reads("/images/owners:1/json", OWNERS_WORD),
        ),
        asks("how an image that is not for jobs was made", reads("/images/owners:1/history", OWNERS)),
        asks("all of an image that is not for jobs", reads("/images/owners:1/get", OWNERS_WORD)),
        asks("which images there are", reads("/images/json", OWNERS)),
    ]
}

fn under_its_name() -> Vec<Attack> {
    vec![
        asks("the name of another's image, given to its own (tag)", |stage| {
            taken(stage, || {
                stage.customer()?.ask("POST", "/images/offered:1/tag?repo=owners&tag=1", JSON, b"")
            })
        }),
        asks("the name of another's image, given to an archive (load)", loaded),
        asks("the name of another's image, given to an archive (import)", |stage| {
            let archive = packed(stage, "x", "x")?;
            let path = "/images/create?fromSrc=-&repo=owners&tag=1";
            taken(stage, || stage.customer()?.ask("POST", path, TAR, &archive))
        }),
        asks("the name of another's image, given to what it builds", |stage| {
            let archive = packed(stage, "Dockerfile", "FROM offered:1\nLABEL x=y\n")?;
            taken(stage, || stage.customer()?.ask("POST", "/build?t=owners:1", TAR, &archive))
        }),
        asks("the name of another's image, given to a container (commit)", |stage| {
            let other = stage.attacker(By::Job)?;
            let path = format!("/commit?container={other}&repo=owners&tag=1&pause=0");
            taken(stage, || stage.customer()?.ask("POST", &path, JSON, b"{}"))
        }),
        asks("the end of another's image", |stage| {
            taken(stage, || stage.customer()?.ask("DELETE", "/images/owners:1", JSON, b""))
        }),
        asks("the end of another's image, by its id and by force", |stage| {
            let id = meant_by(stage, OWNERS)?;
            taken(stage, || stage.customer()?.ask("DELETE", &format!("/images/{id}?force=1"), JSON, b""))
        }),
    ]
}

const JSON: &str = "application/json";
const TAR: &str = "application/x-tar";

/// A container of it, as the engine sees it.
fn runs(stage: &Stage, image: &str) -> Result<Verdict> {
    let mut asked = Customer::plain(ALLOCATION);
    put(&mut asked, "/Image", json!(image));
    let (made, heard) = stage.customer()?.container(&asked.to_string());
    Ok(Verdict { succeeded: made.is_some(), detail: heard })
}

fn learns(stage: &Stage, path: &str, word: &str) -> Result<Verdict> {
    let heard = stage.customer()?.ask("GET", path, JSON, b"");
    Ok(verdict(heard.as_ref().is_ok_and(|heard| has(heard, word)), heard))
}

/// Whether the owner's name means something else then, or nothing. It is given back.
fn taken(stage: &Stage, ask: impl FnOnce() -> Result<Vec<u8>>) -> Result<Verdict> {
    let before = meant_by(stage, OWNERS)?;
    let heard = ask();
    let is_taken = meant_by(stage, OWNERS).ok().as_ref() != Some(&before);
    if is_taken {
        stage.customer()?.stock()?;
    }
    Ok(verdict(is_taken, heard))
}

/// An archive of an image whose name is written over there by the owner's.
fn loaded(stage: &Stage) -> Result<Verdict> {
    const SAME_LENGTH: &str = "xwners:1";
    stage.engine.tag(OFFERED, SAME_LENGTH)?;
    let mut archive = stage.engine.get(&format!("/images/{SAME_LENGTH}/get"))?;
    stage.engine.forget(&format!("/images/{SAME_LENGTH}"));
    let places: Vec<usize> = archive
        .windows(SAME_LENGTH.len())
        .enumerate()
        .filter(|(_, part)| *part == SAME_LENGTH.as_bytes())
        .map(|(at, _)| at)
        .collect();
    ensure!(!places.is_empty(), "the archive names no image");
    for at in places {
        archive[at] = b'o';
    }
    taken(stage, || stage.customer()?.ask("POST", "/images/load", TAR, &archive))
}

/// One file.
fn packed(stage: &Stage, name: &str, text: &str) -> Result<Vec<u8>> {
    let folder = stage.home().join("packed");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), text)?;
    let packed =
        std::process::Command::new("tar").arg("-C").arg(&folder).args(["-cf", "-", name]).output()?;
    ensure!(packed.status.success(), "the archive cannot be packed");
    Ok(packed.stdout)
}
