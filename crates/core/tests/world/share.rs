//! What of this PC jobs get, by their owner's choice.

use ionet_core::effect;
use ionet_core::event::Loaded;
use ionet_core::share::{Setting, Share, ShareView, Unfit};
use ionet_core::target::Saved;
use ionet_core::time::{Gigabytes, Megabits};
use ionet_core::wall::CapsuleUse;
use ionet_core::{Bytes, Effect, Intent, Signal, Verb};

use crate::world::{UNTIL_RESUMED, World, adopted, device, is_stop, loaded, saved};

const GIB: u64 = 1 << 30;

fn in_a_capsule() -> World {
    let mut world = World::new(Loaded { capsule: true, device: Some(device()), ..loaded() });
    world.node(true);
    world
}

fn shown(world: &World) -> ShareView {
    world.shown().share.unwrap()
}

fn disk(gigabytes: u32) -> Setting {
    Setting::Disk(Some(Gigabytes(gigabytes)))
}

fn rate(megabits: u32) -> Setting {
    Setting::Rate(Some(Megabits(megabits)))
}

fn takes(world: &mut World, used: u64, size: u64) {
    let id = world.state.agent.live().unwrap();
    let used =
        CapsuleUse { disk_used: Some(Bytes(used)), disk_size: Some(Bytes(size)), ..CapsuleUse::default() };
    world.signal(Signal::Capsule { id, used });
}

fn given(world: &World) -> Vec<Share> {
    let start = |effect: &Effect| {
        if let Effect::Agent(effect::Agent::Start { share, .. }) = effect { Some(*share) } else { None }
    };
    world.log.iter().filter_map(start).collect()
}

#[test]
fn what_is_chosen_is_saved_at_once_ends_no_job_and_is_for_the_next_start() {
    let mut world = in_a_capsule();
    world.running_job();
    world.log.clear();

    world.intent(Intent::Set { setting: disk(80) });
    world.intent(Intent::Set { setting: rate(50) });

    let chosen = Share { disk: Some(Gigabytes(80)), rate: Some(Megabits(50)) };
    let last = effect::Settings::Save(Saved { share: chosen, ..saved() });
    assert_eq!(world.log.last(), Some(&last.into()));
    assert_eq!(world.count(is_stop), 0);
    assert_eq!((shown(&world).chosen, shown(&world).waits), (chosen, true));

    world.intent(UNTIL_RESUMED);
    assert!(!shown(&world).waits, "nothing runs that it would wait for");
    world.intent(Intent::Resume);

    assert_eq!((given(&world), shown(&world).waits), (vec![chosen], false));
}

#[test]
fn two_who_choose_different_things_undo_nothing_of_each_other() {
    let mut world = in_a_capsule();
    world.intent(Intent::Set { setting: disk(80) });
    world.intent(Intent::Set { setting: rate(50) });

    world.intent(Intent::Set { setting: Setting::Disk(None) });

    assert_eq!(shown(&world).chosen, Share { disk: None, rate: Some(Megabits(50)) });
}

#[test]
fn what_runs_since_an_earlier_life_has_what_was_saved_and_a_change_waits() {
    let share = Share { disk: Some(Gigabytes(80)), rate: None };
    let mut world = World::new(Loaded { capsule: true, saved: Ok(Saved { share, ..saved() }), ..adopted() });
    assert_eq!((shown(&world).chosen, shown(&world).waits), (share, false));

    world.intent(Intent::Set { setting: rate(20) });
    assert!(shown(&world).waits);

    world.intent(Intent::Set { setting: Setting::Rate(None) });
    assert!(!shown(&world).waits, "it is again what runs");
}

#[test]
fn too_little_for_a_capsule_and_more_than_the_drive_has_is_let_be_with_what_would_do() {
    let mut world = in_a_capsule();
    world.signal(Signal::JobsDrive { free: Some(Gigabytes(40)) });
    takes(&mut world, 11 * GIB + GIB / 2, 30 * GIB);
    world.intent(Intent::Set { setting: disk(35) });
    let before = shown(&world);
    assert_eq!((before.disk.used, before.disk.size), (Some(Gigabytes(12)), Some(Gigabytes(30))));

    let refused = [
        (disk(0), Unfit::DiskTooSmall { least: Gigabytes(1) }),
        (disk(52), Unfit::DiskTooLarge { most: Gigabytes(51) }),
        (disk(u32::MAX), Unfit::DiskTooLarge { most: Gigabytes(51) }),
        (rate(0), Unfit::RateTooLow { least: Megabits(1) }),
        (rate(u32::MAX), Unfit::RateTooHigh { most: Megabits(100_000) }),
    ];
    for (setting, unfit) in refused {
        assert_eq!(before.check(setting), Err(unfit));
        world.log.clear();
        world.intent(Intent::Set { setting });
        assert_eq!(shown(&world), before, "{setting:?}");
        assert!(world.log.is_empty(), "{setting:?}");
    }

    world.intent(Intent::Set { setting: disk(51) });
    assert_eq!(shown(&world).chosen.disk, Some(Gigabytes(51)), "what jobs take already is theirs");
}

#[test]
fn a_disk_that_is_larger_than_what_is_chosen_stays_so_also_while_nothing_runs() {
    let mut world = in_a_capsule();
    takes(&mut world, 2 * GIB, 59 * GIB);
    world.intent(Intent::Set { setting: disk(60) });
    assert!(!shown(&world).disk.stays_larger, "what the file system needs is no room lost");

    world.intent(Intent::Set { setting: disk(40) });
    world.intent(UNTIL_RESUMED);

    assert!(shown(&world).disk.stays_larger);
    assert_eq!(shown(&world).disk.size, Some(Gigabytes(59)));
}

#[test]
fn what_nobody_can_have_chosen_reads_as_not_chosen() {
    let share = Share { disk: Some(Gigabytes(0)), rate: Some(Megabits(7)) };
    let world = World::new(Loaded {
        capsule: true,
        saved: Ok(Saved { share, ..saved() }),
        device: Some(device()),
        ..loaded()
    });

    assert_eq!(shown(&world).chosen, Share { disk: None, rate: Some(Megabits(7)) });
}

#[test]
fn where_nothing_holds_jobs_to_a_share_none_is_shown_and_none_can_be_chosen() {
    let mut world = World::earning();

    world.intent(Intent::Set { setting: rate(20) });

    assert_eq!((world.shown().share, world.state.saved().share), (None, Share::default()));
    assert!(!world.shown().can.contains(&Verb::Set));
}

#[test]
fn what_jobs_take_of_their_disk_changes_what_is_shown_by_whole_gigabytes_alone() {
    let mut world = in_a_capsule();
    takes(&mut world, 11 * GIB + 1, 30 * GIB);
    let before = world.shown();

    takes(&mut world, 11 * GIB + GIB / 2, 30 * GIB);
    assert_eq!(world.shown(), before);
    takes(&mut world, 12 * GIB + 1, 30 * GIB);
    assert_ne!(world.shown(), before);
}
