//! `settings`: what of this PC jobs get, shown and chosen.

use std::time::Duration;

use ionet_core::share::{Setting, ShareView};
use ionet_core::time::{Gigabytes, Megabits};
use ionet_core::{Intent, Phase};
use ionet_wire::WireError;
use ionet_wire::client::Client;
use ionet_wire::message::Kind;
use ionet_wire::paths::Folders;
use ionet_words::Words;
use tokio::time::timeout;

/// Nobody waits long for what is done at once: somebody else may have chosen otherwise meanwhile.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Arguments {
    /// Room for jobs on the drive, in whole GB, or "auto". It grows at their next start and never shrinks.
    #[arg(long, value_name = "GB", value_parser = disk)]
    disk: Option<Setting>,
    /// What jobs may take of the internet connection each way, in whole Mbit/s, or "none" for no cap.
    #[arg(long, value_name = "MBIT", value_parser = rate)]
    rate: Option<Setting>,
    #[arg(long)]
    json: bool,
}

/// What became of it.
pub enum Told {
    /// As it is now, in words or as asked for.
    Shown(String),
    /// Why it cannot be, and what can. Nothing was changed.
    NotPossible(String),
}

/// # Errors
/// [`WireError::NobodyThere`] when the app does not run.
pub async fn settings(folders: &Folders, arguments: &Arguments) -> Result<Told, WireError> {
    let words = Words::of_this_desktop();
    let mut client = Client::connect(&folders.meeting(), Kind::Command).await?;
    let mut now = client.next().await?;
    while now.phase == Phase::Loading {
        now = client.next().await?;
    }
    let Some(mut share) = now.share else {
        return Ok(Told::NotPossible(words.say("share-none", &[])));
    };
    let wanted: Vec<Setting> = [arguments.disk, arguments.rate].into_iter().flatten().collect();
    // All or nothing.
    if let Some(unfit) = wanted.iter().find_map(|setting| share.check(*setting).err()) {
        return Ok(Told::NotPossible(words.unfit(unfit)));
    }
    for setting in &wanted {
        client.send(Intent::Set { setting: *setting }).await?;
    }
    match timeout(TAKEN_WITHIN, taken(&mut client, share, &wanted)).await {
        Ok(now) => share = now?,
        Err(_) => return Ok(Told::NotPossible(words.say("undone-meanwhile", &[]))),
    }
    Ok(Told::Shown(if arguments.json { json(&share)? } else { describe(&share, &words) }))
}

/// Waits until all of it is chosen.
async fn taken(
    client: &mut Client,
    mut share: ShareView,
    wanted: &[Setting],
) -> Result<ShareView, WireError> {
    while !wanted.iter().all(|setting| share.chosen.has(*setting)) {
        share = client.next().await?.share.unwrap_or(share);
    }
    Ok(share)
}

fn json(share: &ShareView) -> Result<String, WireError> {
    serde_json::to_string_pretty(share).map_err(|error| WireError::NotAMessage(error.to_string()))
}

fn describe(share: &ShareView, words: &Words) -> String {
    let say = |id: &str, name: &str, value: u32| words.say(id, &[(name, &value.to_string())]);
    let mut lines = vec![match share.chosen.disk {
        Some(Gigabytes(size)) => say("settings-disk", "size", size),
        None => words.say("settings-disk-auto", &[]),
    }];
    if let (Some(size), Some(used)) = (share.disk.size, share.disk.used) {
        let sizes = [("size", &*size.0.to_string()), ("used", &*used.0.to_string())];
        lines.push(words.say("settings-disk-there", &sizes));
    }
    lines.extend(share.disk.free.map(|free| say("settings-disk-free", "free", free.0)));
    if let (true, Some(size)) = (share.disk.stays_larger, share.disk.size) {
        lines.push(say("share-disk-stays", "size", size.0));
    }
    lines.push(match share.chosen.rate {
        Some(Megabits(rate)) => say("settings-rate", "rate", rate),
        None => words.say("settings-rate-none", &[]),
    });
    if share.waits {
        lines.push(words.say("share-waits", &[]));
    }
    lines.join("\n")
}

fn disk(text: &str) -> Result<Setting, String> {
    let gigabytes = number(text, "auto", "80")?;
    Ok(Setting::Disk(gigabytes.map(Gigabytes)))
}

fn rate(text: &str) -> Result<Setting, String> {
    let megabits = number(text, "none", "50")?;
    Ok(Setting::Rate(megabits.map(Megabits)))
}

/// None for the word that leaves it open.
fn number(text: &str, open: &str, example: &str) -> Result<Option<u32>, String> {
    if text == open {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("write a whole number, such as {example}, or “{open}”"))
}

#[cfg(test)]
mod tests {
    use ionet_core::share::{DiskView, Share};

    use super::*;

    fn shown() -> ShareView {
        ShareView {
            chosen: Share { disk: Some(Gigabytes(80)), rate: Some(Megabits(50)) },
            waits: false,
            disk: DiskView {
                least: Gigabytes(1),
                most: Gigabytes(424),
                free: Some(Gigabytes(412)),
                used: Some(Gigabytes(12)),
                size: Some(Gigabytes(79)),
                stays_larger: false,
            },
            least_rate: Megabits(1),
            most_rate: Megabits(100_000),
        }
    }

    #[test]
    fn what_was_chosen_stands_beside_what_is() {
        let said = describe(&shown(), &Words::for_locale("en"));

        for part in ["80 GB", "79 GB", "12 GB", "412 GB", "50 Mbit/s"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert_eq!(said.lines().count(), 4);
    }

    #[test]
    fn what_a_choice_does_not_change_yet_or_ever_is_said() {
        let words = Words::for_locale("en");
        let nothing = DiskView { free: None, used: None, size: None, ..shown().disk };
        let plain = ShareView { chosen: Share::default(), disk: nothing, ..shown() };
        assert_eq!(describe(&plain, &words).lines().count(), 2);

        let waits = describe(&ShareView { waits: true, ..plain }, &words);
        assert!(waits.contains("pause and resume"), "{waits}");

        let larger = DiskView { stays_larger: true, ..shown().disk };
        let stays = describe(&ShareView { disk: larger, ..shown() }, &words);
        assert!(stays.contains("does not shrink"), "{stays}");
    }

    #[test]
    fn a_size_or_a_rate_is_a_whole_number_or_the_word_that_leaves_it_open() {
        assert_eq!(disk("80"), Ok(Setting::Disk(Some(Gigabytes(80)))));
        assert_eq!((disk("auto"), rate("none")), (Ok(Setting::Disk(None)), Ok(Setting::Rate(None))));
        for text in ["", "80GB", "-1", "1.5", "none", "99999999999"] {
            assert!(disk(text).unwrap_err().contains("such as 80"), "{text}");
        }
        assert!(rate("auto").unwrap_err().contains("“none”"));
    }
}
