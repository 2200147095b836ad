//! What is said about cards that are out, or will want a restart.

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{CardState, CardTrouble, Cpu, Driver, Gpu, GpuMemory, Hardware, Os};
use ionet_core::problem::{Action, Problem, Stops};
use ionet_core::{Bytes, ProblemCode, State, view};

fn card(name: &str, state: CardState) -> Gpu {
    Gpu {
        uuid: format!("GPU-{name}"),
        name: name.to_owned(),
        memory: GpuMemory::Own { total: Bytes(24 << 30) },
        pci: String::new(),
        state,
        instances: Vec::new(),
        repair_pending: false,
    }
}

fn out(name: &str, trouble: CardTrouble) -> Gpu {
    card(name, CardState::Out { trouble })
}

fn said(gpus: Vec<Gpu>, fault: Option<GpuFault>) -> Vec<Problem> {
    let mut state = State::default();
    state.faults.gpu = fault;
    state.work.hardware = Some(Hardware {
        gpus,
        driver: Driver::default(),
        cpu: Cpu::default(),
        memory: Bytes(64 << 30),
        disks: Vec::new(),
        os: Os::default(),
    });
    view(&state).problems
}

fn about(problem: &Problem) -> (ProblemCode, &str, Stops) {
    (problem.code, problem.args["cards"].as_str(), problem.stops)
}

#[test]
fn a_card_that_is_out_is_named_and_stops_nothing_while_others_work() {
    let gpus = vec![
        out("A", CardTrouble::Lost),
        card("B", CardState::Working),
        out("C", CardTrouble::Lost),
        out("D", CardTrouble::Divided),
    ];

    let problems = said(gpus, None);

    let told: Vec<_> = problems.iter().map(about).collect();
    assert_eq!(
        told,
        [(ProblemCode::CardLost, "A, C", Stops::Nothing), (ProblemCode::CardDivided, "D", Stops::Nothing)]
    );
    assert!(problems.iter().all(|problem| problem.action == Action::Detect));
}

#[test]
fn a_repair_that_waits_for_a_restart_is_said_of_a_card_that_works() {
    let waiting = Gpu { repair_pending: true, ..card("A", CardState::Working) };
    let out = Gpu { repair_pending: true, ..out("B", CardTrouble::Worn) };

    let problems = said(vec![waiting, out], None);

    let told: Vec<_> = problems.iter().map(about).collect();
    assert_eq!(
        told,
        [(ProblemCode::CardWorn, "B", Stops::Nothing), (ProblemCode::CardRepairPending, "A", Stops::Nothing)]
    );
}

#[test]
fn when_all_are_out_the_fault_says_so_alone_and_stops_new_work() {
    let every = [
        (CardTrouble::Lost, ProblemCode::CardLost),
        (CardTrouble::NeedsReset, ProblemCode::CardNeedsReset),
        (CardTrouble::Unpowered, ProblemCode::CardUnpowered),
        (CardTrouble::Worn, ProblemCode::CardWorn),
        (CardTrouble::Divided, ProblemCode::CardDivided),
        (CardTrouble::Prohibited, ProblemCode::CardProhibited),
        (CardTrouble::LentOut, ProblemCode::CardLentOut),
        (CardTrouble::Forbidden, ProblemCode::CardForbidden),
        (CardTrouble::Silent, ProblemCode::CardSilent),
    ];
    for (trouble, code) in every {
        let fault = GpuFault::CardsOut { cards: "A, B".into(), trouble };
        let problems = said(vec![card("A", CardState::Working)], Some(fault));
        assert_eq!(problems.iter().map(about).collect::<Vec<_>>(), [(code, "A, B", Stops::NewWork)]);
    }
}
