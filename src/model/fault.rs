//! The kind and the code of an error, whichever module it comes from: the kind tells a user what to do, the
//! code is the word by which programs recognize the error.

/// The kind of an error, by what the user can do about it. Each interface expresses it in its own way: the
/// terminal by an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A thing that was named does not exist: name another, or make it first.
    NotFound,
    /// The request conflicts with what exists: ask for something else, or change first what exists.
    Conflict,
    /// The rules of this PKI forbid it: ask for what they allow.
    PolicyRefused,
    /// The key belongs to another, was revoked, or is not the one that was expected: hand in another.
    KeyRefused,
    /// The input is not what it should be: correct it.
    BadRequest,
    /// A passphrase is wrong: give the right one.
    SecretWrong,
    /// The operation needs a confirmation: confirm it, and ask again.
    ConfirmationNeeded,
    /// Somebody else is at work, or was just now: ask again.
    Busy,
    /// The request makes no sense by the clock of this machine: set the clock.
    ClockDoubt,
    /// A file of this machine cannot be read, written or kept private: see to its disk, its owner, its mode.
    Storage,
    /// The home is damaged, mixed up, out of date or makes no sense: restore it, or correct it.
    Damaged,
    /// Another machine does not answer, or cannot be trusted: see to that one.
    Elsewhere,
    /// The change is recorded, and not all that follows from it is done: finish that.
    Incomplete,
    /// The program is wrong: report it.
    Bug,
}

/// An error of any module, as every interface needs it. Its text is its [`Display`](std::fmt::Display); hints
/// for the user of one interface are added by that interface.
pub trait Fault: std::error::Error {
    /// The kind of the error, and its code: the word by which programs know it, which stays the same over
    /// versions.
    fn kind_and_code(&self) -> (Kind, &'static str);

    /// The kind: what the user can do about the error.
    fn kind(&self) -> Kind {
        self.kind_and_code().0
    }

    /// The stable word for scripts; more specific than the kind.
    fn code(&self) -> &'static str {
        self.kind_and_code().1
    }
}
