use std::process::Command;

/// No such thing here: a stage that is killed outright leaves its children behind.
pub(super) fn follow(_command: &mut Command) {}
