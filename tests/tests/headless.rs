//! The whole journey on a machine without a display, without D-Bus and without a keyring.

use ionet_core::Phase;
use journeys::site::{Site, work};
use journeys::wait::{PATIENCE, until};
use journeys::{needs, read};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_desktop_earns_pauses_resumes_and_ends_on_sigterm() {
    let Some(site) = Site::start().await else { return };
    let mut centre = site.machine("centre").await;

    centre.start();
    centre.online().await;
    let (online_code, told) = centre.status().await;
    let node = centre.node().await;
    site.stage.submit_job(&ionet_stage::example_job("headless", false)).await.unwrap();
    centre.phase(&Phase::Earning).await;
    let (earning_code, _) = centre.status().await;
    centre.command("pause").await;
    centre.until("it is paused", |now| matches!(read::phase(now), Phase::Paused { .. })).await;
    let (paused_code, paused) = centre.status().await;
    let held_while_paused = site.live(&node).await.unwrap();
    centre.command("resume").await;
    centre.phase(&Phase::Earning).await;
    let ended = centre.leave().await;
    let after = centre.pc.command(&["status", "--json"]).await.unwrap();

    let protocol = ionet_wire::PROTOCOL;
    assert_eq!(
        (read::told_protocol(&told), read::told_node(&told)),
        (Some(protocol.into()), Some(node.as_str()))
    );
    assert_eq!((online_code, earning_code, paused_code), (Some(0), Some(0), Some(4)));
    assert_eq!(held_while_paused, Vec::<Value>::new());
    assert!(!read::tells_of_giving_back(&paused), "{paused}");
    assert_eq!(ended, Some(0));
    assert_eq!(after.status.code(), Some(3));
    centre.pc.nothing_left(PATIENCE, |_| true).await.unwrap();
    until("the region has nothing on this machine", PATIENCE, || async {
        Ok(site.live(&node).await?.is_empty().then_some(()))
    })
    .await
    .unwrap();
    let log = centre.pc.note("resident.out").unwrap();
    let lines = log.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert!(lines > 3, "{log}");
    assert!(log.contains("Nothing of it is left") && log.contains("\"clean\":true"), "{log}");
    site.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_closed_ends_the_app_as_sigterm_does() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let node = pc.node().await;
    let allocation = site.job("render", &pc).await;
    let ran = work(&allocation).len();

    let ended = pc.hang_up().await;
    pc.pc.nothing_left(PATIENCE, |_| true).await.unwrap();

    assert_eq!((ran, ended, work(&allocation)), (1, Some(0), vec![]));
    site.held(&node).await;
    let log = pc.pc.note("resident.out").unwrap();
    assert!(log.contains("Nothing of it is left") && log.contains("\"clean\":true"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_possible_says_so_instead_of_waiting_for_it() {
    let Some(site) = Site::start().await else { return };
    let mut nobodys = site.machine("nobodys").await;
    nobodys.start_as_owner();
    nobodys.phase(&Phase::Welcome).await;

    let output = nobodys.pc.command(&["pause"]).await.unwrap();
    let now = nobodys.snapshot().await;

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), now.target), (Some(5), ionet_core::Target::Earning));
    assert!(said.contains("not possible as things are"), "{said}");
}

#[test]
fn the_resident_program_needs_no_toolkit() {
    let program = needs::programs().unwrap().join("ionet-supplier");
    if !program.is_file() {
        println!("skipped: needs ionet-supplier (not built)");
        return;
    }

    let linked = std::process::Command::new("ldd").arg(program).output().unwrap();

    let linked = String::from_utf8_lossy(&linked.stdout).to_lowercase();
    assert!(linked.contains("libc.so"), "{linked}");
    for toolkit in ["gtk", "webkit", "gdk", "libx11", "libdbus", "appindicator"] {
        assert!(!linked.contains(toolkit), "{linked}");
    }
}
