//! The app's, the agent's and the jobs' logs lie in the bucket, byte for byte, and no secret is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::step::Step;
use crate::wait::until_seen;
use crate::world::World;
use crate::{breaks, files};

/// Unpacked contents by key below the device's prefix.
type Objects = BTreeMap<String, Vec<u8>>;

pub(super) async fn walk(world: &mut World) -> Result<String> {
    let prefix = world.stage.bucket_dir().join("devices").join(world.learnt.device()?);
    let allocation = world.learnt.first_allocation.clone().context("no job ran")?;
    let job = format!("jobs/{allocation}/work.stdout/");
    let wanted = ["app/", "agent/", job.as_str()];
    until_seen("logs of app, agent and job in the bucket", world.patience, || {
        let keys = keys(&prefix)?;
        let missing: Vec<_> =
            wanted.iter().filter(|part| !keys.iter().any(|key| key.starts_with(**part))).collect();
        ensure!(missing.is_empty(), "nothing below {missing:?}; there are {keys:?}");
        Ok(Some(()))
    })
    .await?;
    if world.is_broken(Step::Logs) {
        breaks::flip_a_bit(&prefix)?;
    }

    let objects = unpack(&prefix)?;
    let kept = same_as_kept(&prefix, &world.pc.folders().logs.join("shipped"))?;
    let printed: Vec<u8> =
        objects.iter().filter(|(key, _)| key.starts_with(&job)).flat_map(|(_, text)| text.clone()).collect();
    ensure!(
        printed == world.learnt.printed,
        "the job printed {} bytes, the bucket holds {} others",
        world.learnt.printed.len(),
        printed.len()
    );
    ensure!(files::has(&printed, b"step 1 of 1200"), "the job's progress is not there");
    no_secret(world, &objects)?;
    let outside = files::below(world.stage.bucket_dir())?.len() - keys(&prefix)?.len();
    ensure!(outside == 0, "{outside} objects lie outside the device's prefix");
    let shown = world.window()?.field("logs", world.patience).await?;
    Ok(format!(
        "window says logs “{shown}”; {} objects below devices/{}/, {kept} of them byte for byte what the app kept, and the \
         job's {} bytes as it printed them; no token, key or grant in any",
        objects.len(),
        world.learnt.device()?,
        printed.len()
    ))
}

fn keys(prefix: &Path) -> Result<Vec<String>> {
    let key = |file: &PathBuf| file.strip_prefix(prefix).map(|key| key.to_string_lossy().into_owned()).ok();
    Ok(files::below(prefix)?.iter().filter_map(key).collect())
}

fn unpack(prefix: &Path) -> Result<Objects> {
    let mut objects = Objects::new();
    for key in keys(prefix)? {
        let packed = std::fs::read(prefix.join(&key))?;
        let text =
            files::unpacked(&packed).with_context(|| format!("{key} in the bucket cannot be unpacked"))?;
        objects.insert(key, text);
    }
    Ok(objects)
}

/// The app keeps what it shipped of its own and the agent's: each must lie in the bucket as it is. Gives how many.
fn same_as_kept(prefix: &Path, shipped: &Path) -> Result<usize> {
    let kept = keys(shipped)?;
    for key in &kept {
        let stored =
            std::fs::read(prefix.join(key)).with_context(|| format!("{key} is not in the bucket"))?;
        ensure!(stored == std::fs::read(shipped.join(key))?, "{key} in the bucket is not what the app wrote");
    }
    ensure!(!kept.is_empty(), "the app kept nothing that it shipped");
    Ok(kept.len())
}

/// No token of the owner, of the region, of the store, and no grant.
fn no_secret(world: &World, objects: &Objects) -> Result<()> {
    let mut secrets = world.learnt.kept_secrets.clone();
    for file in world.stage.secret_files() {
        let secret = std::fs::read(&file).with_context(|| file.display().to_string())?;
        secrets.push(secret.trim_ascii().to_vec());
    }
    let marks: [&[u8]; 3] = [b"eyJhbGciOi", b"X-Amz-Signature", b"PRIVATE KEY"];
    secrets.extend(marks.map(<[u8]>::to_vec));
    for (key, text) in objects {
        let found = secrets.iter().filter(|secret| files::has(text, secret)).count();
        ensure!(found == 0, "{found} secrets lie in {key}");
    }
    Ok(())
}
