//! Which graphics cards a container has: those that its allocation names, of those that this PC lends, and no other.
//!
//! NVIDIA's runtime reads it from the environment, where a job's and an image's words stand beside the driver's. So what
//! gives a card is taken from there, and written here into every container.

use super::Refusal;
use super::read::Fields;

/// Every engine has it, and it gives no card.
pub(super) const PLAIN: &str = "runc";
const WITH_CARD: &str = "nvidia";

const DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";
const ABILITIES: &str = "NVIDIA_DRIVER_CAPABILITIES";
/// Of what a card can do, what needs no screen.
const ABLE: [&str; 4] = ["compute", "graphics", "utility", "video"];
/// What of NVIDIA's names gives nothing: demands on the driver, and how numbers are rounded.
const HARMLESS: [&str; 2] = ["NVIDIA_DISABLE_REQUIRE", "NVIDIA_TF32_OVERRIDE"];
/// Devices beside the card, which an image's own words would give too.
const OTHERS: [&str; 4] = ["NVIDIA_GDRCOPY", "NVIDIA_GDS", "NVIDIA_MOFED", "NVIDIA_NVSWITCH"];
/// Who hands a card over runs with what the container has in its environment, outside of it, and in its folder.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

#[derive(Debug, PartialEq)]
pub(super) struct Card {
    pub(super) runtime: &'static str,
    /// All of the container's.
    pub(super) env: Vec<String>,
    /// The cards that it has.
    pub(super) ids: Vec<String>,
}

impl Card {
    /// `cards` are those that this PC lends, by their UUIDs.
    pub(super) fn read(host: &mut Fields, env: Vec<String>, cards: &[String]) -> Result<Self, Refusal> {
        let runtime = host.word("Runtime", &[PLAIN, WITH_CARD])?;
        let has_runtime = runtime == WITH_CARD;
        let (mut kept, mut given, mut able) = (Vec::new(), None, None);
        for variable in env {
            let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
            match name {
                DEVICES if given.is_none() => given = Some(named(value, cards)?),
                ABILITIES if able.is_none() => able = Some(abilities(value)?),
                DEVICES => return Err(Refusal::of(DEVICES)),
                ABILITIES => return Err(Refusal::of(ABILITIES)),
                other if OTHERS.contains(&other) && value == "disabled" => {}
                other if has_runtime && brings_code(other, value) => return Err(foreign_code()),
                other if gives(other) => return Err(Refusal::of("an NVIDIA_ variable that is not known")),
                _ => kept.push(variable),
            }
        }
        let given = given.filter(|_| has_runtime).unwrap_or_default();
        let ids: Vec<String> = given.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let named = if ids.is_empty() { "void" } else { given.as_str() };
        kept.push(format!("{DEVICES}={named}"));
        if has_runtime {
            kept.push(format!("{ABILITIES}={}", able.unwrap_or_else(|| "compute,utility".to_owned())));
            kept.extend(OTHERS.map(|other| format!("{other}=disabled")));
        }
        Ok(Self { runtime: if has_runtime { WITH_CARD } else { PLAIN }, env: kept, ids })
    }
}

/// What an image says itself of its environment, where it is to have a card.
pub(super) fn admit_image<'a>(env: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    for variable in env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        if brings_code(name, value) {
            return Err(foreign_code());
        }
        if name.starts_with("NVIDIA_MIG_") || name.starts_with("NVIDIA_IMEX_") {
            return Err(Refusal::of("an image that asks for parts of a card"));
        }
    }
    Ok(())
}

/// Whether a loader would take code of the container's by it. Images for cards name folders of libraries, which are the PC's own to whoever
/// runs outside, as long as they do not lead back to where that stands.
fn brings_code(name: &str, value: &str) -> bool {
    let leads_back = |folder: &str| {
        let own = ["/usr/", "/opt/", "/lib"].iter().any(|own| folder.starts_with(own));
        !own || folder.split('/').any(|part| part == "..")
    };
    match name {
        // Nothing between two colons, or after the last, is where that stands.
        LIBRARIES => value.split(':').any(leads_back),
        "GLIBC_TUNABLES" => true,
        other => other.starts_with("LD_"),
    }
}

/// Only by their UUIDs: a number, a part or "all" may mean another's.
fn named(value: &str, cards: &[String]) -> Result<String, Refusal> {
    if ["", "void", "none"].contains(&value) {
        return Ok(String::new());
    }
    let is_lent = |uuid: &str| cards.iter().any(|card| card == uuid);
    if value.split(',').all(is_lent) { Ok(value.to_owned()) } else { Err(Refusal::of(DEVICES)) }
}

fn abilities(value: &str) -> Result<String, Refusal> {
    match value {
        "" => Ok("compute,utility".to_owned()),
        "all" => Ok(ABLE.join(",")),
        words if words.split(',').all(|word| ABLE.contains(&word)) => Ok(words.to_owned()),
        _ => Err(Refusal::of(ABILITIES)),
    }
}

fn gives(name: &str) -> bool {
    name.starts_with("NVIDIA_") && !name.starts_with("NVIDIA_REQUIRE_") && !HARMLESS.contains(&name)
}

fn foreign_code() -> Refusal {
    Refusal::of("a loader's variable that leads to its own code beside a graphics card")
}
