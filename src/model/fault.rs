//! The kind and the code of an error, whichever module it comes from: the kind tells a user what to do, the
//! code is the word by which programs recognize the error.

/// What whoever asked can do about an error. Each door says it in its own way: the terminal by an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was named is not there: name another, or make it first.
    NotFound,
    /// It goes against what stands: ask for something else, or change first what stands.
    Conflict,
    /// The rules of this PKI forbid it: ask for what they allow.
    PolicyRefused,
    /// The key is another's, was taken back, or is none that was expected: hand in another.
    KeyRefused,
    /// What was handed in is not what it should be: correct it.
    BadRequest,
    /// A passphrase is wrong: give the right one.
    SecretWrong,
    /// It is done only for somebody who says that it is meant: confirm it, and ask again.
    ConfirmationNeeded,
    /// Somebody else is at work, or was just now: ask again.
    Busy,
    /// By the clock of this machine it makes no sense: set the clock.
    ClockDoubt,
    /// A file of this machine cannot be read, written or kept private: see to its disk, its owner, its mode.
    Storage,
    /// What lies in the home is damaged, mixed up, out of date or makes no sense: restore it, or correct it.
    Damaged,
    /// Another machine does not answer, or is not to be believed: see to that one.
    Elsewhere,
    /// It is recorded, and not all that follows from it is done: finish that.
    Incomplete,
    /// The program is wrong: report it.
    Bug,
}

/// An error of a room as every door needs it. What it says is its [`Display`](std::fmt::Display); what else
/// could be said to one who stands at a certain door is that door's business.
pub trait Fault: std::error::Error {
    /// Its kind, and the word that programs know it by, which stays.
    fn kind_and_code(&self) -> (Kind, &'static str);

    /// What whoever asked can do about it.
    fn kind(&self) -> Kind {
        self.kind_and_code().0
    }

    /// The word that programs know it by: finer than the kind.
    fn code(&self) -> &'static str {
        self.kind_and_code().1
    }
}
