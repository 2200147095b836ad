//! Problems of the cards.

use super::{Action, Problem, ProblemCode, Stops, plain, with};
use crate::event::Link;
use crate::fault::GpuFault;
use crate::hardware::{CardTrouble, Hardware};

pub(super) fn of_gpu(fault: &GpuFault) -> Problem {
    use ProblemCode as Code;
    let driver = Action::Open { link: Link::DriverDownload };
    match fault {
        GpuFault::DriverMissing => plain(Code::DriverMissing, driver, Stops::NewWork),
        GpuFault::DriverNotLoaded => plain(Code::DriverNotLoaded, Action::Detect, Stops::NewWork),
        GpuFault::DriverMismatch => plain(Code::DriverMismatch, Action::Detect, Stops::NewWork),
        GpuFault::DriverSilent => plain(Code::DriverSilent, Action::Detect, Stops::NewWork),
        GpuFault::DriverBroken(why) => {
            with(Code::DriverBroken, Action::Detect, Stops::NewWork, &[("why", why.clone())])
        }
        GpuFault::DriverTooOld { found, needed } => with(
            Code::DriverTooOld,
            driver,
            Stops::NewWork,
            &[("found", found.clone()), ("needed", needed.clone())],
        ),
        GpuFault::NoGpu => plain(Code::NoGpu, Action::Detect, Stops::NewWork),
        GpuFault::CardsOut { cards, trouble } => of_trouble(*trouble, cards.clone(), Stops::NewWork),
    }
}

/// What is wrong with some cards while others work.
pub(super) fn of_cards(hardware: &Hardware) -> Vec<Problem> {
    let out = hardware.troubles().into_iter();
    let mut problems: Vec<_> =
        out.map(|(trouble, cards)| of_trouble(trouble, cards.join(", "), Stops::Nothing)).collect();
    let pending: Vec<_> =
        hardware.for_jobs().filter(|gpu| gpu.repair_pending).map(|gpu| gpu.name.as_str()).collect();
    if !pending.is_empty() {
        let cards = [("cards", pending.join(", "))];
        problems.push(with(ProblemCode::CardRepairPending, Action::None, Stops::Nothing, &cards));
    }
    problems
}

fn of_trouble(trouble: CardTrouble, cards: String, stops: Stops) -> Problem {
    let code = match trouble {
        CardTrouble::Lost => ProblemCode::CardLost,
        CardTrouble::NeedsReset => ProblemCode::CardNeedsReset,
        CardTrouble::Unpowered => ProblemCode::CardUnpowered,
        CardTrouble::Worn => ProblemCode::CardWorn,
        CardTrouble::Divided => ProblemCode::CardDivided,
        CardTrouble::Prohibited => ProblemCode::CardProhibited,
        CardTrouble::LentOut => ProblemCode::CardLentOut,
        CardTrouble::Forbidden => ProblemCode::CardForbidden,
        CardTrouble::Silent => ProblemCode::CardSilent,
    };
    with(code, Action::Detect, stops, &[("cards", cards)])
}
