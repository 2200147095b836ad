//! The PC is given back: the order is [`crate::wind_down`]'s, this is where it begins, goes on and ends.

use crate::effect::Effect;
use crate::state::{Account, State};
use crate::wind_down::{Why, WindDown};

/// The PC is to be given back. It begins as soon as no agent is half started: see [`super::drive`].
pub(super) fn ask_wind_down(state: &mut State, why: Why) {
    state.quit_asked = false;
    match &mut state.wind_down {
        Some(wind_down) => wind_down.strengthen(why),
        None => state.wind_down_asked = state.wind_down_asked.max(Some(why)),
    }
}

pub(super) fn begin(state: &mut State, why: Why, effects: &mut Vec<Effect>) {
    let (wind_down, effect) = WindDown::begin(why, state.agent);
    state.wind_down_asked = None;
    state.wind_down = Some(wind_down);
    effects.push(effect);
}

pub(super) fn advance(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(wind_down) = state.wind_down else { return };
    match wind_down.advance() {
        Some((next, effect)) => {
            state.wind_down = Some(next);
            effects.push(effect);
        }
        // The work is gone; the session goes last, also when the program is to end.
        None if matches!(state.account, Account::SigningOut) => effects.push(Effect::SignOut),
        None => finish(state, effects),
    }
}

pub(super) fn finish(state: &mut State, effects: &mut Vec<Effect>) {
    match state.wind_down.map(|wind_down| wind_down.why) {
        // The state stays as it is: nothing may start again between here and the program's end.
        Some(Why::Quit) => effects.push(Effect::Exit),
        Some(Why::Readmission | Why::Pause | Why::SignOut | Why::Lost) => state.wind_down = None,
        None => {}
    }
}
