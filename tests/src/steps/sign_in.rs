//! The owner signs in at the identity provider's own pages, in the system's browser.

use std::path::Path;

use anyhow::{Result, ensure};
use ionet_cloud::visitor;
use ionet_core::event::SessionStore;
use ionet_core::snapshot::AccountView;

use crate::breaks;
use crate::world::World;

const LOGIN: &str = "alice";
const PASSWORD: &str = "demo";
const SHOWN: &str = "alice@example.test";

pub(super) async fn walk(world: &mut World) -> Result<String> {
    let window = world.window()?;
    let known = world.desktop.browser.opened()?.len();
    let button = window.press("sign-in", world.patience).await?;
    let page = world.desktop.browser.next(known, world.patience).await?;
    let page = if world.is_broken(crate::step::Step::SignIn) { breaks::another_state(page) } else { page };
    visitor::walk_sign_in(page.as_str(), LOGIN, PASSWORD).await?;

    window.shows(&["agreement"], world.patience).await?;
    let account = window.field("account", world.patience).await?;
    ensure!(account == SHOWN, "the window shows the account {account:?}");
    window.attribute("session-store", "data-store", world.patience, |store| store == "keyring").await?;
    let snapshot = world.pc.snapshot().await?;
    let kept_in_keyring =
        matches!(snapshot.account, AccountView::SignedIn { store: SessionStore::Keyring, .. });
    ensure!(kept_in_keyring, "the app says {:?}", snapshot.account);

    let kept = world.desktop.keyring.kept().await?;
    ensure!(!kept.is_empty(), "the keyring is empty");
    let secrets: Vec<Vec<u8>> = kept.iter().flat_map(|item| tokens(&item.secret)).collect();
    ensure!(!secrets.is_empty(), "the keyring keeps no token");
    // The file beside it says where the session lies, and holds nothing of it.
    let beside = std::fs::read(world.pc.folders().session()).unwrap_or_default();
    let leaks =
        secrets.iter().any(|secret| beside.windows(secret.len()).any(|part| part == secret.as_slice()));
    ensure!(!leaks, "the session's file holds a token that lies in the keyring");
    for secret in &secrets {
        let found = crate::files::containing(world.pc.home(), secret)?;
        ensure!(found.is_empty(), "the refresh token lies in {}", short(&found, world.pc.home()));
    }
    world.learnt.kept_secrets = secrets;
    Ok(format!(
        "“{button}” opened {}{} in the browser, and the window shows {account}; the refresh token is in the keyring ({}) and in no file of the app",
        page.host_str().unwrap_or_default(),
        page.path(),
        kept[0].label
    ))
}

/// The long words in a kept value: a token alone, or inside JSON.
fn tokens(secret: &[u8]) -> Vec<Vec<u8>> {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    secret.split(|byte| !of_token(byte)).filter(|word| word.len() >= 20).map(<[u8]>::to_vec).collect()
}

fn short(files: &[std::path::PathBuf], home: &Path) -> String {
    let names = files.iter().map(|file| file.strip_prefix(home).unwrap_or(file).display().to_string());
    names.collect::<Vec<_>>().join(", ")
}
