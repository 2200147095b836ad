//! Freezes and thaws that were asked for, until a look has answered them.

use ionet_core::fault::WorkFault;

use super::protocol::Say;

#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) number: u64,
    pub(super) freeze: bool,
}

impl Question {
    pub(super) fn answer(self, result: Result<(), WorkFault>) -> Say {
        let (question, result) = (self.number, result.map_err(Into::into));
        if self.freeze { Say::Frozen { question, result } } else { Say::Thawed { question, result } }
    }
}

#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: Vec<Question>,
    /// Those that the look under way answers.
    answering: Vec<Question>,
}

impl Questions {
    pub(super) fn ask(&mut self, question: Question) {
        self.waiting.push(question);
    }

    /// A look begins. The last word decides what it does, and it answers all words before it.
    pub(super) fn look(&mut self) {
        self.answering.append(&mut self.waiting);
    }

    /// The look is over.
    pub(super) fn looked(&mut self, result: &Result<(), WorkFault>) -> Vec<Say> {
        std::mem::take(&mut self.answering).into_iter().map(|asked| asked.answer(result.clone())).collect()
    }

    /// No look comes any more: all of it is ended.
    pub(super) fn over(&mut self) -> Vec<Say> {
        self.look();
        self.looked(&Ok(()))
    }

    /// Whoever asked is gone, and a newcomer's numbers begin anew.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(questions: &mut Questions, number: u64, freeze: bool) {
        questions.ask(Question { number, freeze });
    }

    #[test]
    fn a_look_answers_all_that_was_asked_before_it_and_nothing_after() {
        let mut questions = Questions::default();
        asked(&mut questions, 1, true);
        questions.look();
        asked(&mut questions, 2, true);
        asked(&mut questions, 3, false);

        let fault = Err(WorkFault::EngineDown);
        let frozen = Question { number: 1, freeze: true }.answer(fault.clone());
        assert_eq!(questions.looked(&fault), [frozen]);
        questions.look();
        assert_eq!(questions.looked(&Ok(())).len(), 2, "the freeze that the thaw overtook, too");
        assert_eq!(questions.over(), []);
    }

    #[test]
    fn a_newcomer_is_not_told_what_its_predecessor_asked() {
        let mut questions = Questions::default();
        asked(&mut questions, 1, true);
        questions.look();
        asked(&mut questions, 2, true);

        questions.forget();

        assert_eq!(questions.looked(&Ok(())), []);
        assert_eq!(questions.over(), []);
    }
}
