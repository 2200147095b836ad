//! The steps of a walk, by name.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[clap(rename_all = "snake_case")]
pub enum Step {
    FirstStart,
    SignIn,
    Enrolment,
    Detection,
    Online,
    Job,
    Earnings,
    PauseResume,
    Logs,
    Quit,
}

impl Step {
    pub const ALL: [Self; 10] = [
        Self::FirstStart,
        Self::SignIn,
        Self::Enrolment,
        Self::Detection,
        Self::Online,
        Self::Job,
        Self::Earnings,
        Self::PauseResume,
        Self::Logs,
        Self::Quit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::FirstStart => "first_start",
            Self::SignIn => "sign_in",
            Self::Enrolment => "enrolment",
            Self::Detection => "detection",
            Self::Online => "online",
            Self::Job => "job",
            Self::Earnings => "earnings",
            Self::PauseResume => "pause_resume",
            Self::Logs => "logs",
            Self::Quit => "quit",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_on_the_command_line_as_in_the_report() {
        for step in Step::ALL {
            assert_eq!(Step::from_str(step.name(), false), Ok(step));
        }
    }
}
