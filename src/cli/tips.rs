//! Suggestions for a value in argv that is refused: what was perhaps meant, printed below the error.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};

use super::in_shell;
use super::named::InvalidNamed;
use crate::model::platform::{InvalidPlatform, Platform};
use crate::model::revocation::InvalidReason;
use crate::model::serial::InvalidSerial;
use crate::model::subject::InvalidSubject;
use crate::model::text::printable;
use crate::model::{Address, Employee, Reason, Serial};

/// The explanation of an address, for whoever has named a file instead.
pub const NOT_A_FILE: &str = "that is a file, and a device goes by its address: EMPLOYEE/DEVICE, as in gina/phone; `pki list` shows them all";

/// The endings of files that `pki` and its like make and read.
const EXTENSIONS: [&str; 11] = [
    "crt",
    "cer",
    "pem",
    "der",
    "crl",
    "csr",
    "p12",
    "pfx",
    "p7b",
    "mobileconfig",
    "jws",
];

/// The endings of lists of people.
const LISTS: [&str; 5] = ["csv", "tsv", "txt", "xlsx", "ods"];

/// Whether this has the name of a list of people, or is a file that begins like one.
pub fn is_list(text: &str) -> bool {
    let path = Path::new(text);
    let extension = path.extension().and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| LISTS.contains(&extension.to_ascii_lowercase().as_str())) {
        return true;
    }
    let mut head = [0; 256];
    let read = path
        .is_file()
        .then(|| std::fs::File::open(path).and_then(|mut file| file.read(&mut head)));
    let Some(Ok(length)) = read else {
        return false;
    };
    let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
    let first = head
        .trim_start_matches('\u{FEFF}')
        .lines()
        .next()
        .unwrap_or_default();
    ["employee", "device"].iter().all(|title| first.contains(title))
}

/// Whether this is a file, or has the name of one.
pub fn is_file(text: &str) -> bool {
    has_typical_ending(text) || is_list(text) || Path::new(text).is_file()
}

/// Whether this has the extension of a file that `pki` and similar programs write or read, in letters of any
/// case.
pub fn has_typical_ending(text: &str) -> bool {
    let extension = Path::new(text).extension();
    extension
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| {
            EXTENSIONS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(extension))
        })
}

/// The suggestion for a value that a type of ours refused, where there is one.
pub fn of(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else {
        return None;
    };
    let why = std::error::Error::source(error)?;
    if why.is::<InvalidReason>()
        && let Some(reason) = Reason::meant(value)
    {
        return Some(format!("that is '{reason}'"));
    }
    if let Some(ContextValue::String(similar)) = error.get(ContextKind::SuggestedValue) {
        return Some(format!("a similar value exists: '{similar}'"));
    }
    if why.is::<InvalidPlatform>() {
        let platform = Platform::of_product(value)?;
        return Some(format!("that is '{platform}'"));
    }
    match why.downcast_ref() {
        Some(InvalidNamed::Serial(why)) => return whole(why, value, arguments),
        Some(InvalidNamed::Addressee(why)) => return of_subject(why, value, arguments),
        None => {}
    }
    if let Some(why) = why.downcast_ref::<InvalidSerial>() {
        return whole(why, value, arguments);
    }
    of_subject(why.downcast_ref::<InvalidSubject>()?, value, arguments)
}

/// The advice which command reads a list.
pub fn meant_list(list: &str) -> String {
    format!(
        "did you mean `pki issue --from {} --out bundles --bundle-passphrase-out passphrases.tsv`?",
        in_shell(list)
    )
}

/// The command with a serial number as it should have been written, where all of it may be repeated.
fn whole(why: &InvalidSerial, value: &str, arguments: &[OsString]) -> Option<String> {
    let serial = why.meant()?.to_string();
    let words = arguments.iter().skip(1).map(|argument| {
        let argument = argument.to_str().filter(|text| printable(text).is_ok())?;
        Some(in_shell(if argument == value { &serial } else { argument }))
    });
    let words: Vec<String> = words.collect::<Option<_>>()?;
    words
        .contains(&serial)
        .then(|| format!("pki {}", words.join(" ")))
}

fn of_subject(why: &InvalidSubject, value: &str, arguments: &[OsString]) -> Option<String> {
    // An address where a person alone is meant: what was typed names both.
    if let InvalidSubject::Name { .. } = why
        && let Ok(address) = value.parse::<Address>()
    {
        let employee = &address.employee;
        return Some(if arguments.iter().any(|argument| argument == "offboard") {
            format!("`pki offboard {employee}` for the person, `pki revoke {address}` for the device")
        } else {
            format!("a person alone is meant here: {employee}")
        });
    }
    if is_list(value) && arguments.iter().any(|argument| argument == "issue") {
        return Some(meant_list(value));
    }
    if is_file(value) {
        return Some(NOT_A_FILE.to_owned());
    }
    let serial = match value.parse::<Serial>() {
        Ok(serial) => Some(serial),
        Err(why) => why.meant(),
    };
    if let Some(serial) = serial {
        return Some(format!(
            "that is a serial number: `pki show {serial}` tells whose"
        ));
    }
    let (InvalidSubject::Name { .. } | InvalidSubject::Address(_)) = why else {
        return None;
    };
    let (employee, device) = match value.split_once('/') {
        Some((employee, device)) => (employee, Some(device)),
        None => (value, None),
    };
    let meant = short(employee)?;
    let address = match device {
        Some(device) => format!("{meant}/{}", short(device)?),
        None => meant.to_string(),
    };
    // Her device alone says nothing of her name.
    Some(if meant.as_str() == employee {
        format!("write {address}")
    } else {
        format!("write {address}; the full name goes to `pki issue --name`, the e-mail address to --email")
    })
}

/// The short name that a full name or an e-mail address begins with.
fn short(text: &str) -> Option<Employee> {
    let first = text.split(|c: char| c == '@' || c.is_whitespace()).next()?;
    let meant: Employee = first.to_lowercase().parse().ok()?;
    meant.as_str().parse::<Serial>().is_err().then_some(meant)
}
