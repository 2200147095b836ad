//! Who is on: the script in force, how often the library was initialised, and what is written down of it.

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nvml_wrapper_sys::bindings as nvml;

use crate::script::{Card, Instance, OpenedBefore, Question, Reader, Script};
use crate::{BAD_ARGUMENT, Code, LOST, OK, UNINITIALIZED, UNKNOWN};

/// A file that gets a line for each start and end of the library, and for each question to a card with its place.
const JOURNAL: &str = "IONET_NVML_JOURNAL";

/// How often a call that hangs looks whether it may go on.
const NUDGE: Duration = Duration::from_millis(5);

/// A handle is never followed. It is the card's place counted from one, and above that an instance's place on the card,
/// again from one.
const INSTANCE: u32 = 16;

static STAGE: Mutex<Stage> = Mutex::new(Stage { reader: Reader::new(), open: 0, opened_under: 0 });

struct Stage {
    reader: Reader,
    /// NVML counts its initialisations; each is to be shut down once.
    open: u32,
    /// The script's version when it was last initialised.
    opened_under: u64,
}

pub(crate) enum Asked<'a> {
    Card(&'a Card, usize),
    Instance(&'a Instance),
}

pub(crate) fn start() -> Code {
    write_down("init");
    let mut stage = stage();
    let Some((script, version)) = stage.reader.script() else { return UNKNOWN };
    let code = script.init;
    if code == OK {
        stage.open += 1;
        stage.opened_under = version;
    }
    code
}

pub(crate) fn end() -> Code {
    write_down("shutdown");
    let mut stage = stage();
    if stage.open == 0 {
        return UNINITIALIZED;
    }
    stage.open -= 1;
    OK
}

pub(crate) fn answer(with: impl FnOnce(&Script) -> Code) -> Code {
    let mut stage = stage();
    let (open, opened_under) = (stage.open, stage.opened_under);
    let Some((script, version)) = stage.reader.script() else { return UNKNOWN };
    if open == 0 {
        return UNINITIALIZED;
    }
    if script.init != OK && script.opened_before == OpenedBefore::Fail {
        return script.init;
    }
    if script.stale != OK && opened_under < version {
        return script.stale;
    }
    with(script)
}

/// The handle of the card at this place, or why there is none.
pub(crate) fn handle(script: &Script, place: usize) -> Result<nvml::nvmlDevice_t, Code> {
    write_down(&format!("card {place}"));
    match script.cards.get(place) {
        Some(card) if card.lost => Err(LOST),
        Some(card) if card.handle != OK => Err(card.handle),
        Some(_) => Ok(std::ptr::without_provenance_mut(place + 1)),
        None => Err(BAD_ARGUMENT),
    }
}

pub(crate) fn handle_of_instance(card: usize, instance: usize) -> nvml::nvmlDevice_t {
    std::ptr::without_provenance_mut(((instance + 1) << INSTANCE) | (card + 1))
}

/// A question to a card or to a part of one.
pub(crate) fn of_any(
    device: nvml::nvmlDevice_t,
    question: Question,
    with: impl FnOnce(Asked<'_>) -> Code,
) -> Code {
    answer(|script| {
        let handle = device.addr();
        let Some(place) = (handle & ((1 << INSTANCE) - 1)).checked_sub(1) else { return BAD_ARGUMENT };
        write_down(&format!("card {place}"));
        // The script was cut short under an open handle.
        let Some(card) = script.cards.get(place) else { return LOST };
        if card.lost {
            return LOST;
        }
        let Some(instance) = (handle >> INSTANCE).checked_sub(1) else {
            let code = card.codes.get(&question).copied();
            return code.unwrap_or_else(|| with(Asked::Card(card, place)));
        };
        match card.instances.iter().flatten().nth(instance) {
            Some(instance) => with(Asked::Instance(instance)),
            None => BAD_ARGUMENT,
        }
    })
}

/// A question that only a whole card answers.
pub(crate) fn of_card(
    device: nvml::nvmlDevice_t,
    question: Question,
    with: impl FnOnce(&Card, usize) -> Code,
) -> Code {
    of_any(device, question, |asked| match asked {
        Asked::Card(card, place) => with(card, place),
        Asked::Instance(_) => crate::NOT_SUPPORTED,
    })
}

/// Waits out a hang without holding the stage: others are to hang beside it.
fn stage() -> MutexGuard<'static, Stage> {
    loop {
        let mut stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
        if !stage.reader.script().is_some_and(|(script, _)| script.hang) {
            return stage;
        }
        drop(stage);
        std::thread::sleep(NUDGE);
    }
}

fn write_down(line: &str) {
    let journal = std::env::var_os(JOURNAL)
        .and_then(|path| std::fs::OpenOptions::new().append(true).create(true).open(path).ok());
    if let Some(mut journal) = journal {
        let _ = writeln!(journal, "{line}");
    }
}
