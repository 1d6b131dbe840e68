//! `pki audit export`: the events as lines for programs that collect those of many systems.

use super::exported::Exported;
use super::{cef, ocsf};
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::store::Cursor;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the events after the one of this number: the last that was taken in
    #[arg(long, value_name = "N", default_value_t = 0)]
    since: u64,
    /// What a line is
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,
}

/// The forms of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A JSON object of pki's own
    Jsonl,
    /// A JSON object of the Open Cybersecurity Schema Framework, 1.4.0
    Ocsf,
    /// ArcSight's Common Event Format
    Cef,
}

/// A line, with its end.
fn line(exported: &Exported, format: Format) -> serde_json::Result<String> {
    Ok(match format {
        Format::Jsonl => serde_json::to_string(exported)?,
        Format::Ocsf => ocsf::object(exported).to_string(),
        Format::Cef => cef::line(exported),
    } + "\n")
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if context.ui.json {
        return Err(Failure::usage(
            "--json: what `audit export` prints is by --format, jsonl where nothing is said",
        ));
    }
    let home = context.open_despite_config()?;
    // As for `audit`: the ledger is this home's, which reading it once tells.
    drop(context.read(&home)?);
    let mut lines = Listing::for_programs(&context.ui, "");
    let (mut last, mut previous) = (0, [0; 32]);
    let mut unsaid = None;
    let read = home.follow_chain(Cursor::START, &mut |linked| {
        let (number, sha256) = (linked.event.seq, linked.sha256);
        if number > args.since {
            match Exported::of(linked, previous).map(|exported| line(&exported, args.format)) {
                Some(Ok(line)) => lines.add_text(&line),
                Some(Err(_)) | None => unsaid = unsaid.or(Some(number)),
            }
        }
        (last, previous) = (number, sha256);
        Ok(())
    });
    // What is good before a damage is out as whole lines.
    lines.end()?;
    read?;
    if let Some(number) = unsaid {
        return Err(Failure::new(
            Exit::Bug,
            "bug",
            format!("event {number} has no form in JSON"),
        ));
    }
    if last < args.since {
        let gone = format!(
            "the ledger ends at event {last}, and event {} was taken in: events are missing",
            args.since
        );
        return Err(Failure::new(Exit::Refused, "events-missing", gone).hint(
            "restore the newest ledger.jsonl; only if the older one is meant, begin anew with --since 0",
        ));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, Fact, Time};
    use crate::store::Linked;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What a reader of CEF makes of a line: the fields of its head, and the pairs behind it.
    fn read_cef(line: &str) -> (Vec<String>, Vec<(String, String)>) {
        let (mut head, mut rest) = (vec![String::new()], line.chars());
        while head.len() < 8 {
            let field = head.last_mut().unwrap();
            match rest.next().unwrap() {
                '\\' => field.push(rest.next().unwrap()),
                '|' => head.push(String::new()),
                other => field.push(other),
            }
        }
        head.pop();
        // A key is a word before an equals sign that no backslash stands before.
        let text: Vec<char> = rest.collect();
        let mut signs = Vec::new();
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                '\\' => at += 1,
                '=' => signs.push(at),
                _ => {}
            }
            at += 1;
        }
        let begin = |sign: usize| {
            let before = text[..sign].iter().rposition(|c| !c.is_ascii_alphanumeric());
            before.map_or(0, |at| at + 1)
        };
        let pairs = signs.iter().enumerate().map(|(i, sign)| {
            let end = signs.get(i + 1).map_or(text.len(), |next| begin(*next) - 1);
            let (mut value, mut raw) = (String::new(), text[sign + 1..end].iter());
            while let Some(character) = raw.next() {
                value.push(match character {
                    '\\' => match raw.next().unwrap() {
                        'n' => '\n',
                        'r' => '\r',
                        other => *other,
                    },
                    other => *other,
                });
            }
            (text[begin(*sign)..*sign].iter().collect(), value)
        });
        (head, pairs.collect())
    }

    fn linked(by: &str, organization: &str) -> Linked {
        Linked {
            event: Event {
                seq: 1,
                time: Time::from_unix(1_800_000_000),
                by: by.to_owned(),
                fact: Fact::Initialized {
                    organization: organization.to_owned(),
                    root: "0".repeat(64),
                    issuing: "1".repeat(64),
                    permitted: None,
                },
            },
            sha256: [7; 32],
        }
    }

    /// Texts of what means something in one of the forms, and of anything.
    fn text() -> impl Strategy<Value = String> {
        let special = proptest::sample::select(vec![
            '|', '=', '\\', '\n', '\r', '\t', '"', '\'', '{', ' ', 'ß', '語', '\u{202e}', '\u{2028}', '\0',
            'x',
        ]);
        let mixed = proptest::collection::vec(prop_oneof![special, any::<char>()], 0..24);
        mixed.prop_map(|characters| characters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn every_name_comes_back_from_every_form(by in text(), organization in text()) {
            let exported = Exported::of(linked(&by, &organization), [0; 32]).unwrap();
            for format in [Format::Jsonl, Format::Ocsf, Format::Cef] {
                let line = line(&exported, format).unwrap();
                let line = line.strip_suffix('\n').unwrap();
                prop_assert!(!line.contains(['\n', '\r']), "{line:?}");
                match format {
                    Format::Jsonl => {
                        let read: Value = serde_json::from_str(line).unwrap();
                        prop_assert_eq!(&read["actor"], &by);
                        prop_assert_eq!(&read["subject"]["name"], &organization);
                        prop_assert_eq!(&read["details"]["organization"], &organization);
                    }
                    Format::Ocsf => {
                        let read: Value = serde_json::from_str(line).unwrap();
                        prop_assert_eq!(&read["actor"]["user"]["name"], &by);
                        prop_assert_eq!(&read["entity"]["org"]["name"], &organization);
                    }
                    Format::Cef => {
                        let (head, pairs) = read_cef(line);
                        prop_assert_eq!(&head[..3], &["CEF:0", "pki", "pki"]);
                        prop_assert_eq!(&head[4..], &["initialized", "initialized", "1"]);
                        let spaced = |text: &str| -> String {
                            let is_none = |c: char| c.is_control() && !"\n\r".contains(c);
                            let is_none = |c: char| is_none(c) || "\u{2028}\u{2029}".contains(c);
                            text.chars().map(|c| if is_none(c) { ' ' } else { c }).collect()
                        };
                        let value = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, v)| v.clone());
                        prop_assert_eq!(value("suser"), Some(spaced(&by)));
                        prop_assert_eq!(value("cs2"), Some(spaced(&organization)));
                        prop_assert_eq!(value("externalId"), Some("1".into()));
                        prop_assert_eq!(pairs.len(), 16 - 2);
                    }
                }
            }
        }
    }
}
