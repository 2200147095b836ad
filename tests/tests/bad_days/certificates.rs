//! Certificates and node identities that ran out, are refused, or are to be.

use std::fs;
use std::time::Duration;

use ionet_core::{Phase, ProblemCode as Code, Snapshot};
use ionet_stage::AgentKind;
use journeys::machine::Machine;
use journeys::site::{Site, now_ms, work};
use journeys::wait::{PATIENCE, until, until_seen};
use journeys::{breaks, read};
use serde_json::{Value, json};

/// Takes as long as the shortest life that a gateway gives: a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_certificate_is_renewed_in_time_and_one_that_ran_out_while_the_pc_was_off_at_its_start() {
    let life = Duration::from_secs(60);
    let Some(site) = Site::start_with(|options| options.certificate_life = Some(life)).await else { return };
    let (mut on, mut off) = (site.machine("on").await, site.machine("off").await);
    on.start();
    off.start();
    let certificate = |now: &Snapshot| read::certificate(now).unwrap();
    let (first, old) = (certificate(&on.online().await), certificate(&off.online().await));
    let (node, devices) = (on.node().await, (on.device().await, off.device().await));
    off.leave().await;

    until("the certificate is renewed", life * 2, || async {
        assert!(is_ready(&site, &node).await, "the node fell out of the region");
        Ok((certificate(&on.snapshot().await).expires_ms != first.expires_ms).then_some(()))
    })
    .await
    .unwrap();
    let renewed_at = now_ms();
    let both = first.expires_ms.max(old.expires_ms);
    until("the first certificates have run out", life * 2, || async {
        assert!(is_ready(&site, &node).await, "the node fell out of the region");
        Ok((now_ms() > both).then_some(()))
    })
    .await
    .unwrap();
    off.start();
    let new = certificate(&off.online().await);
    on.online().await;
    site.job("after-the-renewal", &on).await;
    site.job("after-the-end", &off).await;

    assert!((first.renew_ms..first.expires_ms).contains(&renewed_at), "{first:?}, at {renewed_at}");
    assert_eq!((on.device().await, off.device().await), devices);
    assert!(new.expires_ms > both);
}

async fn is_ready(site: &Site, node: &str) -> bool {
    site.stage.nomad_get(&format!("/v1/node/{node}")).await.unwrap()["Status"] == "ready"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_region_refuses_is_said_and_another_is_asked_for_until_one_is_taken() {
    let Some(mut site) = Site::start().await else { return };
    let devices = site.stage.pki().devices.clone();
    let ours = [&devices.cert, &devices.key].map(|file| fs::read(file).unwrap());
    breaks::foreign_authority(&mut site.stage).await.unwrap();
    let mut pc = site.machine("pc").await;

    pc.start();
    let (exit, told) = pc.says(Code::CertificateRefused).await;
    let device = pc.device().await;
    let nodes = site.nodes(&device).await.unwrap();
    fs::write(&devices.cert, &ours[0]).unwrap();
    fs::write(&devices.key, &ours[1]).unwrap();
    site.stage.stop_gateway().unwrap();
    site.stage.start_gateway().await.unwrap();
    let well = pc.online().await;

    assert_eq!((exit, nodes), (Some(5), vec![]));
    assert_eq!(read::told_phase(&told), &read::blocked(Code::CertificateRefused));
    assert_eq!(read::device(&well), Some(device));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pc_reported_lost_stops_and_stays_stopped_and_the_accounts_other_pc_works_on() {
    let Some(site) = Site::start().await else { return };
    let (mut lost, mut kept) = (site.machine("lost").await, site.machine("kept").await);
    lost.start();
    kept.start();
    lost.online().await;
    let device = lost.device().await;
    kept.online().await;
    let (gone, stays) = (site.job("gone", &lost).await, site.job("stays", &kept).await);
    let (node, task) = (lost.node().await, work(&stays));

    site.account.report_lost(&device).await.unwrap();
    lost.phase(&Phase::Blocked { code: Code::DeviceLost }).await;
    let (exit, _) = lost.says(Code::DeviceLost).await;
    lost.idle(PATIENCE).await;
    site.held(&node).await;
    lost.leave().await;
    lost.start();
    lost.says(Code::DeviceLost).await;
    let restarted = lost.agents();

    assert_eq!((exit, work(&gone), restarted), (Some(5), vec![], vec![]));
    untouched(&site, &kept, &stays, &task).await;
}

async fn untouched(site: &Site, pc: &Machine, allocation: &str, task: &[(u32, u64)]) {
    let (exit, told) = pc.status().await;
    let node = site.stage.nomad_get(&format!("/v1/node/{}", pc.node().await)).await.unwrap();

    assert_eq!((exit, read::told_phase(&told)), (Some(0), &json!({"phase": "earning"})));
    assert!(read::tells_no_problem(&told), "{told}");
    assert_eq!((&node["Status"], &node["SchedulingEligibility"]), (&json!("ready"), &json!("eligible")));
    assert_eq!(site.allocation(allocation).await["ClientStatus"], "running");
    assert_eq!(work(allocation), task);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_servers_have_forgotten_is_there_again_under_the_same_device() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let (device, node) = (pc.device().await, pc.node().await);
    let path = format!("/v1/node/{node}");
    let known_since = site.stage.nomad_get(&path).await.unwrap()["CreateIndex"].clone();

    site.stage.operator().put(&format!("{path}/purge"), &json!({})).await.unwrap();
    until("the servers know it anew", PATIENCE, || async {
        let now = site.stage.nomad_get(&path).await?;
        Ok((now["CreateIndex"] != known_since && now["Status"] == "ready").then_some(()))
    })
    .await
    .unwrap();
    pc.online().await;
    site.job("afterwards", &pc).await;

    assert_eq!((pc.device().await, pc.node().await), (device, node));
}

/// The servers have forgotten the node, and the key that signed its identity with it. The double has no such identities.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_identity_that_the_servers_take_no_longer_is_replaced_by_a_new_introduction() {
    let Some(site) = Site::start().await else { return };
    if site.stage.agent().kind != AgentKind::Nomad {
        println!("skipped: needs NOMAD=/path of a real Nomad");
        return;
    }
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let device = pc.device().await;
    let node = pc.node().await;
    let region = site.stage.operator();
    let ids = |keys: &Value| -> Vec<String> {
        let keys = keys.as_array().unwrap().iter();
        keys.filter(|key| key["State"] != "active")
            .map(|key| key["KeyID"].as_str().unwrap().to_owned())
            .collect()
    };
    region.put("/v1/operator/keyring/rotate", &json!({})).await.unwrap();
    region.put(&format!("/v1/node/{node}/purge"), &json!({})).await.unwrap();
    for key in ids(&region.get("/v1/operator/keyring/keys").await.unwrap()) {
        region.delete(&format!("/v1/operator/keyring/key/{key}?force=true")).await.unwrap();
    }

    until_seen("the agent is denied", PATIENCE, || {
        let log = pc.pc.note("resident.out")?;
        Ok(log.contains("the servers deny the registration").then_some(()))
    })
    .await
    .unwrap();
    pc.online().await;

    assert_eq!((pc.device().await, pc.node().await), (device, node));
}
