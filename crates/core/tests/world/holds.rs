//! What this PC wants of its node while its owner needs a GPU.

use ionet_core::effect::{self, Wanted};
use ionet_core::{Effect, Signal};

use crate::world::World;

/// What was said to the gateway, in order.
fn told(world: &World) -> Vec<(u64, Wanted)> {
    let set = |effect: &Effect| {
        let Effect::Region(effect::Region::SetWanted { seq, wanted }) = effect else { return None };
        Some((*seq, wanted.clone()))
    };
    world.log.iter().filter_map(set).collect()
}

fn hold(world: &mut World, gpus: &[&str]) {
    world.state.work.holds = gpus.iter().map(|gpu| (*gpu).to_owned()).collect();
    world.signal(Signal::Tick);
}

fn wanted(eligible: bool, holds: &[&str]) -> Wanted {
    Wanted { eligible, holds: holds.iter().map(|gpu| (*gpu).to_owned()).collect() }
}

#[test]
fn each_change_of_the_holds_is_told_with_a_new_number_and_while_there_is_one_no_new_work_comes() {
    let mut world = World::earning();
    let (before, _) = told(&world).pop().unwrap();
    let agent = world.state.agent.live();

    hold(&mut world, &["GPU-1"]);
    hold(&mut world, &["GPU-1", "GPU-2"]);
    hold(&mut world, &[]);
    hold(&mut world, &[]);

    let after: Vec<_> = told(&world).into_iter().filter(|(seq, _)| *seq > before).collect();
    let rising =
        [(1, wanted(false, &["GPU-1"])), (2, wanted(false, &["GPU-1", "GPU-2"])), (3, wanted(true, &[]))];
    assert_eq!(after, rising.map(|(more, wanted)| (before + more, wanted)));
    assert_eq!(world.state.agent.live(), agent, "what runs goes on");
}

#[test]
fn a_hold_that_the_gateway_did_not_hear_is_told_until_it_has_it() {
    let mut world = World::earning();
    world.gateway_down = true;
    hold(&mut world, &["GPU-1"]);
    let (first, _) = told(&world).pop().unwrap();
    world.gateway_down = false;

    world.pass(60_000);
    let (last, said) = told(&world).pop().unwrap();
    world.pass(60_000);

    assert!(last > first);
    assert_eq!(said, wanted(false, &["GPU-1"]));
    assert_eq!(told(&world).pop(), Some((last, said)), "it has it");
}
