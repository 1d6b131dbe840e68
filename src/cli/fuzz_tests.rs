//! What comes of damaged words of a command line: a refusal that can be read, or whom they name.

use super::named::{Addressee, Named};
use crate::fuzz;
use crate::model::text::printable;

#[test]
fn whom_a_word_names() {
    let words = ["alice", "alice/phone", "1F000102030405060708090A0B0C0D0E"];
    fuzz::damaged_texts(&words, |text| match text.parse::<Named>() {
        Ok(Named::Serial(serial)) => text.eq_ignore_ascii_case(&serial.to_string()),
        Ok(Named::Addressee(addressee)) => {
            assert_eq!(addressee.to_string(), text);
            assert_eq!(text.parse::<Addressee>().ok(), Some(addressee));
            true
        }
        Err(why) => {
            assert_eq!(printable(&why.to_string()), Ok(()), "{why}");
            false
        }
    });
}
