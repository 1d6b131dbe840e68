//! Events in ArcSight's Common Event Format, version 0: one line an event, a header in bars and then pairs of
//! keys and values.
//!
//! A header escapes `\` and `|`; a value escapes `\` and `=`, and may have line breaks, as `\n` and `\r`.
//! Other control characters, and separators of lines, have no form in it: they become spaces.

use super::about::{Activity, Severity, Subject};
use super::exported::Exported;

/// An event in a line, without its end.
pub fn line(exported: &Exported) -> String {
    let about = &exported.about;
    let severity = match about.severity {
        Severity::Informational => "1",
        Severity::Low => "4",
        Severity::Medium => "6",
    };
    let head: Vec<String> = [
        "CEF:0",
        "pki",
        "pki",
        env!("CARGO_PKG_VERSION"),
        &exported.kind,
        &exported.title(),
        severity,
    ]
    .map(header)
    .into();
    let Subject { kind, name, id } = &about.subject;
    let outcome = if about.is_done { "success" } else { "failure" };
    let mut pairs = vec![
        ("rt", (exported.time.unix() * 1000).to_string()),
        ("externalId", exported.number.to_string()),
        ("suser", exported.actor.clone()),
        ("act", word(about.activity).to_owned()),
        ("outcome", outcome.to_owned()),
        ("msg", exported.message.clone()),
        ("cs1Label", "subjectType".into()),
        ("cs1", (*kind).to_owned()),
    ];
    if let Some(name) = name {
        pairs.extend([("cs2Label", "subjectName".into()), ("cs2", name.clone())]);
    }
    if let Some(id) = id {
        pairs.extend([("cs3Label", "subjectId".into()), ("cs3", id.clone())]);
    }
    pairs.extend([
        ("cs4Label", "hash".into()),
        ("cs4", exported.hash.clone()),
        ("cs5Label", "previousHash".into()),
        ("cs5", exported.previous.clone()),
    ]);
    let pairs = pairs.iter().map(|(key, text)| format!("{key}={}", value(text)));
    format!("{}|{}", head.join("|"), pairs.collect::<Vec<_>>().join(" "))
}

fn word(activity: Activity) -> &'static str {
    match activity {
        Activity::Create => "create",
        Activity::Read => "read",
        Activity::Update => "update",
        Activity::Delete => "delete",
        Activity::Enroll => "enroll",
        Activity::Enable => "enable",
        Activity::Disable => "disable",
        Activity::Activate => "activate",
        Activity::Suspend => "suspend",
    }
}

fn header(text: &str) -> String {
    escaped(text, |character| match character {
        '\\' => Some("\\\\"),
        '|' => Some("\\|"),
        _ => None,
    })
}

fn value(text: &str) -> String {
    escaped(text, |character| match character {
        '\\' => Some("\\\\"),
        '=' => Some("\\="),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        _ => None,
    })
}

fn escaped(text: &str, escape: impl Fn(char) -> Option<&'static str>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match escape(character) {
            Some(form) => escaped.push_str(form),
            None if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                escaped.push(' ');
            }
            None => escaped.push(character),
        }
    }
    escaped
}
