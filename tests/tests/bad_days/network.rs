//! The io.net side is gone, slow, or somebody else; and a clock that is wrong.

use std::fs;
use std::time::Instant;

use ionet_cloud::visitor;
use ionet_core::event::{SessionStore, SignInMethod};
use ionet_core::snapshot::AccountView;
use ionet_core::target::AGREEMENT_VERSION;
use ionet_core::{Intent, Phase, ProblemCode as Code};
use journeys::impostor::Impostor;
use journeys::site::{Site, work};
use journeys::wait::{PATIENCE, until, until_seen};
use journeys::{needs, read};

use crate::{GIVEN_BACK, PAUSED};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_down_at_the_first_start_is_said_and_the_pc_enrols_when_it_is_back() {
    let Some(mut site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    site.stage.stop_gateway().unwrap();

    pc.start();
    let (exit, told) = pc.says(Code::GatewayDown).await;
    site.stage.start_gateway().await.unwrap();
    pc.online().await;

    assert_eq!((exit, read::told_device(&told)), (Some(5), None));
    assert_eq!(read::told_phase(&told), &read::blocked(Code::GatewayDown));
    assert_eq!(site.account.devices().await.unwrap().devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_while_the_gateway_is_gone_and_no_second_of_it_goes_unpaid() {
    let Some(mut site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let (allocation, node) = (site.job("render", &pc).await, pc.node().await);
    let task = work(&allocation);

    site.stage.kill_gateway().unwrap();
    let (_, told) = pc.says(Code::GatewayDown).await;
    let so_far = pc.printed(&allocation);
    until_seen("the job prints on", PATIENCE, || Ok((pc.printed(&allocation) > so_far).then_some(())))
        .await
        .unwrap();
    let still = work(&allocation);
    // Its end, too, is one that the gateway does not see.
    site.stage.customer().delete("/v1/job/render").await.unwrap();
    until("the job has ended", PATIENCE, || async {
        Ok((site.allocation(&allocation).await["ClientStatus"] == "complete").then_some(()))
    })
    .await
    .unwrap();
    site.stage.start_gateway().await.unwrap();
    let audit = until("ledger and servers agree", PATIENCE, || async {
        let audit = site.audit("render", &allocation, &node).await?;
        anyhow::ensure!(audit.equal && audit.recomputed > 0, "{audit:?}");
        Ok(Some(audit))
    })
    .await
    .unwrap();
    let well = pc.online().await;

    assert!(!task.is_empty() && still == task, "{task:?} became {still:?}");
    assert!(read::told_stale_since(&told).is_some(), "{told}");
    assert_eq!(read::told_allocations(&told), [allocation.as_str()], "what it said last is still shown");
    assert_eq!(read::stale_since(&well), None);
    assert_eq!(read::earned_today(&well), Some(audit.recomputed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_went_away_finds_its_pcs_online_again_also_one_that_started_meanwhile() {
    let Some(mut site) = Site::start().await else { return };
    let (mut old, mut new) = (site.machine("old").await, site.machine("new").await);
    old.start();
    old.online().await;
    let node = old.node().await;

    site.stage.stop_region().unwrap();
    new.start();
    new.says(Code::RegionUnreachable).await;
    old.says(Code::RegionUnreachable).await;
    let started_meanwhile = new.agents();
    site.stage.start_region().await.unwrap();
    new.online().await;
    old.online().await;
    site.job("of-the-old", &old).await;
    site.job("of-the-new", &new).await;

    assert!(started_meanwhile.is_empty(), "an agent without an introduction: {started_meanwhile:?}");
    assert_eq!(old.node().await, node);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_gateway_and_region_gone_pause_and_sigterm_still_leave_nothing_running() {
    let Some(mut site) = Site::start().await else { return };
    let (mut paused, mut ended) = (site.machine("paused").await, site.machine("ended").await);
    paused.start();
    ended.start();
    for pc in [&paused, &ended] {
        pc.online().await;
    }
    let works = [site.job("one", &paused).await, site.job("two", &ended).await];
    let ran = works.each_ref().map(|allocation| work(allocation).len());
    site.stage.kill_gateway().unwrap();
    site.stage.stop_region().unwrap();

    let asked = Instant::now();
    let ((), exit) = tokio::join!(paused.command("pause"), ended.leave());
    let rest = GIVEN_BACK.saturating_sub(asked.elapsed());
    paused.idle(rest).await;
    ended.pc.nothing_left(rest, |_| true).await.unwrap();
    let left = works.each_ref().map(|allocation| work(allocation).len());
    let given_back = paused.snapshot().await;
    site.stage.start_region().await.unwrap();
    site.stage.start_gateway().await.unwrap();
    paused.command("resume").await;
    paused.at_work().await;

    assert_eq!((ran, left), ([1, 1], [0, 0]));
    assert_eq!((read::phase(&given_back), exit), (&PAUSED, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_fails_somebody_else_at_its_address_and_one_that_is_too_slow_are_told_apart() {
    let Some(mut site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    site.stage.stop_gateway().unwrap();

    let failing = Impostor::says(&site.stage, "503 Service Unavailable", "<html>Sorry</html>").await;
    pc.start();
    pc.says(Code::GatewayDown).await;
    failing.leaves().await;
    let hotel =
        Impostor::says(&site.stage, "200 OK", "<html>Welcome to our hotel! Please sign in.</html>").await;
    let (exit, _) = pc.says(Code::GatewayGarbled).await;
    hotel.leaves().await;
    let silence = Impostor::silent(&site.stage).await;
    pc.says(Code::GatewaySlow).await;
    silence.leaves().await;
    site.stage.start_gateway().await.unwrap();
    pc.online().await;

    assert_eq!(exit, Some(5));
    assert_eq!(site.account.devices().await.unwrap().devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pc_without_a_network_says_so_and_enrols_when_it_has_one() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root to take a network away");
        return;
    }
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;

    pc.start_cut_off();
    let (exit, told) = pc.says(Code::NoNetwork).await;
    let agents = pc.agents();
    let left = pc.leave().await;
    pc.start();
    pc.online().await;

    assert_eq!((exit, agents, left), (Some(5), vec![], Some(0)));
    assert_eq!(read::told_phase(&told), &read::blocked(Code::NoNetwork));
}

/// On a PC without a browser and without a keyring: the sign-in goes on by code, and is kept in a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_said_and_its_owner_signs_in_by_code_when_it_is_back() {
    let Some(mut site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    let sign_in = Intent::SignIn { method: SignInMethod::Browser };
    pc.pc.set("PATH", "/nowhere");
    pc.start_as_owner();
    pc.phase(&Phase::Welcome).await;
    site.stage.stop_identity().unwrap();

    pc.pc.ask(sign_in.clone()).await.unwrap();
    let (exit, told) = pc.says(Code::ProviderDown).await;
    site.stage.start_identity().await.unwrap();
    pc.pc.ask(sign_in).await.unwrap();
    let shown = until("a code is shown", PATIENCE, || async {
        let AccountView::SigningIn { code, .. } = pc.snapshot().await.account else { return Ok(None) };
        Ok(code)
    })
    .await
    .unwrap();
    visitor::walk_device_code(&shown.verification_uri, &shown.user_code, "alice", "demo").await.unwrap();
    let signed_in = pc.phase(&Phase::Agreement).await;
    pc.pc.ask(Intent::Agree { version: AGREEMENT_VERSION }).await.unwrap();
    let well = pc.phase(&Phase::Waiting).await;

    assert_eq!((exit, read::told_phase(&told)), (Some(5), &read::blocked(Code::ProviderDown)));
    assert!(
        matches!(&signed_in.account, AccountView::SignedIn { name, store: SessionStore::File } if name.shown == "alice@example.test"),
        "{:?}",
        signed_in.account
    );
    assert_eq!(read::problems(&well), [Code::NoKeyring]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_said_with_its_size_and_the_pc_goes_on_once_it_is_right() {
    let Some(library) = needs::false_clock() else {
        println!("skipped: needs libfaketimeMT.so.1 (package libfaketime)");
        return;
    };
    let Some(site) = Site::start().await else { return };
    let (mut behind, mut ahead) = (site.machine("behind").await, site.machine("ahead").await);
    ahead.start();
    ahead.online().await;
    ahead.leave().await;

    // Before the gateway's certificate began, and after this PC's own has ended.
    let days = [(&mut behind, "-50h", ("behind", "50")), (&mut ahead, "+9d", ("ahead", "216"))];
    for (pc, shift, (direction, hours)) in days {
        let clock = pc.false_clock(&library, shift);
        pc.start();
        let (exit, told) = pc.says(Code::ClockWrong).await;
        let agents = pc.agents();
        fs::write(&clock, "+0").unwrap();
        pc.online().await;

        let args = &read::problem(&told, Code::ClockWrong).unwrap()["args"];
        assert_eq!(args["direction"], direction, "{args}");
        let said: i64 = args["hours"].as_str().unwrap().parse().unwrap();
        let meant: i64 = hours.parse().unwrap();
        assert!((meant - 1..=meant).contains(&said), "{args}");
        assert_eq!((exit, agents), (Some(5), vec![]));
    }
}
