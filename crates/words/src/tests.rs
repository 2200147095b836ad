use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{FixedOffset, TimeZone as _};
use fluent_bundle::FluentResource;
use ionet_core::earnings::JobEnd;
use ionet_core::event::Link;
use ionet_core::giving_back::Step;
use ionet_core::problem::{Action, Stops};
use ionet_core::target::PauseEnd;
use ionet_core::wall::Sight;
use ionet_core::{Phase, Problem, ProblemCode, Refused, State, UnixMs, view};
use serde_json::{from_value, json};

use crate::of_core::{action_id, clock, phase_key, step_id};
use crate::{ENGLISH, Words, duration, money};

/// The names of an enum's variants by its own word, so that none can be left out: what it says of one that it does not know.
fn names(unknown: &serde_json::Error) -> Vec<String> {
    let said = unknown.to_string();
    let (_, known) = said.split_once("expected one of ").unwrap_or_else(|| panic!("{said}"));
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// All but the one that speaks through its problem.
fn phases() -> Vec<Phase> {
    let named =
        |name: &String| json!({"phase": name, "code": ProblemCode::NoGpu, "until": PauseEnd::Resumed});
    let all = names(&from_value::<Phase>(named(&"?".to_owned())).unwrap_err());
    let all = all.iter().map(|name| from_value::<Phase>(named(name)).unwrap());
    all.filter(|phase| !matches!(phase, Phase::Blocked { .. })).collect()
}

fn actions() -> Vec<Action> {
    let links = names(&from_value::<Link>(json!("?")).unwrap_err());
    let named = |name: &str, link: &str| json!({"do": name, "link": link});
    let all = names(&from_value::<Action>(named("?", &links[0])).unwrap_err());
    let each = all.iter().flat_map(|name| links.iter().map(move |link| named(name, link)));
    each.map(|action| from_value(action).unwrap()).collect()
}

fn steps() -> Vec<Option<Step>> {
    let all = names(&from_value::<Step>(json!("?")).unwrap_err());
    let all = all.iter().map(|name| Some(from_value(json!(name)).unwrap()));
    std::iter::once(None).chain(all).collect()
}

fn known() -> BTreeSet<String> {
    let starts = |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase());
    let ids = ENGLISH.lines().filter(starts).filter_map(|line| line.split_once(" ="));
    ids.map(|(id, _)| id.to_owned()).collect()
}

/// What the core can say, as ids.
fn of_core() -> BTreeSet<String> {
    let problems = ProblemCode::ALL
        .iter()
        .flat_map(|code| ["title", "body"].map(|part| format!("problem-{}-{part}", code.as_str())));
    let phases =
        phases().into_iter().filter_map(|phase| phase_key(&phase)).map(|key| format!("phase-{key}-title"));
    let actions = actions().into_iter().filter_map(action_id).map(str::to_owned);
    let steps = steps().into_iter().map(|step| step_id(step).to_owned());
    let sights = Sight::ALL.into_iter().flat_map(|sight| {
        let name = json!(sight).as_str().unwrap().replace('_', "-");
        ["title", "body"].map(|part| format!("sight-{name}-{part}"))
    });
    problems.chain(phases).chain(actions).chain(steps).chain(sights).collect()
}

/// What the page says of a job's end, and of a question without an answer.
fn of_earnings() -> BTreeSet<String> {
    let ends =
        [JobEnd::Complete, JobEnd::Failed, JobEnd::Lost, JobEnd::Stopped, JobEnd::Disputed, JobEnd::Unknown];
    let ends = ends.map(|end| format!("earnings-end-{}", json!(end).as_str().unwrap()));
    let refused = names(&from_value::<Refused>(json!({"refused": "?"})).unwrap_err());
    let refused = refused.iter().map(|name| format!("earnings-{}-body", name.replace('_', "-")));
    refused.chain(ends).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| ["rs", "ts", "svelte"].iter().any(|known| end == *known))
        {
            found.push(path);
        }
    }
}

/// Every text in quotes of a source file. Backslashes do not matter: no id has one.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'', '`'])
}

#[test]
fn the_english_file_has_no_errors() {
    assert!(FluentResource::try_new(ENGLISH.to_owned()).is_ok());
}

#[test]
fn everything_the_core_can_say_has_a_sentence() {
    let known = known();

    let missing: Vec<_> = of_core().into_iter().filter(|id| !known.contains(id)).collect();

    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_phase_has_a_title_and_a_line_below_it() {
    let words = Words::for_locale("en");
    let mut snapshot = view(&State::default());

    for phase in phases() {
        snapshot.phase = phase;
        for said in [words.phase_title(&snapshot), words.phase_detail(&snapshot)] {
            assert!(!said.is_empty() && !said.starts_with("phase-"), "{:?}: {said}", snapshot.phase);
        }
    }
}

#[test]
fn a_blocked_phase_speaks_through_its_problem() {
    let words = Words::for_locale("en");
    let mut snapshot = view(&State::default());
    let args = [("found", "470.10"), ("needed", "525.60")].map(|(name, value)| (name.into(), value.into()));
    snapshot.phase = Phase::Blocked { code: ProblemCode::DriverTooOld };
    snapshot.problems = vec![Problem {
        code: ProblemCode::DriverTooOld,
        args: args.into(),
        action: Action::Open { link: Link::DriverDownload },
        stops: Stops::NewWork,
    }];

    assert_eq!(words.phase_title(&snapshot), "The graphics driver is too old");
    assert!(words.phase_detail(&snapshot).starts_with("You have 470.10; jobs need 525.60"));
    assert_eq!(words.problem_action(&snapshot.problems[0]).as_deref(), Some("Get the driver"));
}

#[test]
fn a_wrong_clock_is_told_in_hours_or_in_minutes() {
    let words = Words::for_locale("en");
    let title = |hours: &str, minutes: &str, direction: &str| {
        let args = [("hours", hours), ("minutes", minutes), ("direction", direction)];
        words.say("problem-clock-wrong-title", &args)
    };

    assert_eq!(title("26", "0", "ahead"), "Your PC’s clock is 26 h ahead");
    assert_eq!(title("0", "12", "behind"), "Your PC’s clock is 12 min behind");
}

#[test]
fn every_id_in_the_sources_has_a_sentence_and_every_sentence_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["ui/src", "crates/words/src", "supplier/src", "src-tauri/src"] {
        sources(&root.join(folder), &mut files);
    }
    files.retain(|file| !file.ends_with("words/src/tests.rs"));
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let known = known();

    let called = texts.iter().flat_map(|text| {
        ["say(\"", "say('", "say=\"", "button(\""]
            .into_iter()
            .flat_map(|call| text.split(call).skip(1))
            .filter_map(|rest| rest.split(['"', '\'']).next())
    });
    let missing: BTreeSet<_> = called.filter(|id| !known.contains(*id)).collect();
    let mut used: BTreeSet<_> = texts.iter().flat_map(|text| quoted(text)).map(str::to_owned).collect();
    used.extend(of_core());
    used.extend(
        phases().into_iter().filter_map(|phase| phase_key(&phase)).map(|key| format!("phase-{key}-detail")),
    );
    used.extend(of_earnings());
    let unused: Vec<_> = known.iter().filter(|id| !used.contains(*id)).collect();

    assert!(missing.is_empty(), "no sentence for {missing:#?}");
    assert!(unused.is_empty(), "nobody says {unused:#?}");
}

#[test]
fn amounts_and_durations_are_written_as_the_examples_say() {
    let examples = include_str!("../../../locales/examples.json");
    let examples: serde_json::Value = serde_json::from_str(examples).unwrap();

    for example in examples["money"].as_array().unwrap() {
        let shown = money(example["amount"].as_str().unwrap().parse().unwrap());
        assert_eq!(shown, example["shown"].as_str().unwrap(), "{example}");
    }
    for example in examples["duration"].as_array().unwrap() {
        let shown = duration(example["ms"].as_i64().unwrap());
        assert_eq!(shown, example["shown"].as_str().unwrap(), "{example}");
    }
}

#[test]
fn a_pauses_end_is_told_in_local_time_with_the_date_on_another_day() {
    let zone = FixedOffset::east_opt(2 * 3600).unwrap();
    let now = zone.with_ymd_and_hms(2026, 11, 23, 20, 0, 0).unwrap();
    let in_two_hours = UnixMs(now.timestamp_millis() + 2 * 3_600_000);
    let in_five_hours = UnixMs(now.timestamp_millis() + 5 * 3_600_000);

    assert_eq!(clock(in_two_hours, &now), "22:00");
    assert_eq!(clock(in_five_hours, &now), "2026-11-24 01:00");
}

#[test]
fn words_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}

    shared::<Words>();
}
