//! Parses values in argv that are one of a few words: help lists them, shells complete them, and the type
//! itself explains what is wrong with any other.

use std::error::Error;
use std::ffi::OsStr;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ContextKind;
use clap::{Arg, Command};

/// A parser for a value that is one of a type's words.
#[derive(Debug, Clone, Copy)]
pub struct Words<T: 'static> {
    all: &'static [T],
    word: fn(T) -> &'static str,
}

impl<T> Words<T> {
    /// The parser for all values, with the word for each.
    pub fn new(all: &'static [T], word: fn(T) -> &'static str) -> Self {
        Self { all, word }
    }
}

impl<T> TypedValueParser for Words<T>
where
    T: FromStr<Err: Error + Send + Sync> + Copy + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        T::from_str.parse_ref(command, arg, value).map_err(|mut error| {
            let words: Vec<&'static str> = self.all.iter().map(|one| (self.word)(*one)).collect();
            // Of clap's own parser, which refuses it as well, only the word that it takes for a similar one.
            let similar = PossibleValuesParser::new(words)
                .parse_ref(command, arg, value)
                .err();
            let similar = similar.and_then(|similar| similar.get(ContextKind::SuggestedValue).cloned());
            if let Some(similar) = similar {
                error.insert(ContextKind::SuggestedValue, similar);
            }
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = self.all.iter().map(|one| (self.word)(*one));
        Some(Box::new(words.map(PossibleValue::new)))
    }
}
