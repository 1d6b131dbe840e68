//! Writes what a server offers into the report: TLS versions, weak cipher suites, and remnants of old
//! versions.

use crate::check::client::version::Version;
use crate::check::offers::Offers;
use crate::check::offers::groups;
use crate::check::offers::suites::Weakness;
use crate::check::{Question, Report, Verdict, findings};

/// Adds everything that the server offers to the report.
pub fn tell(offers: &Offers, report: &mut Report) {
    tell_versions(offers, report);
    tell_suites(offers, report);
    tell_legacies(offers, report);
}

fn tell_versions(offers: &Offers, report: &mut Report) {
    let offered = &offers.versions;
    let old: Vec<Version> = offered
        .iter()
        .copied()
        .filter(|version| version.is_old())
        .collect();
    let names: Vec<String> = offered.iter().map(ToString::to_string).collect();
    let mut elsewhere: Vec<Version> = offers
        .elsewhere
        .iter()
        .map(|(_, version)| *version)
        .filter(|version| version.is_old() && !old.contains(version))
        .collect();
    elsewhere.sort();
    elsewhere.dedup();
    let verdict = if old.is_empty() && elsewhere.is_empty() {
        Verdict::Good
    } else {
        Verdict::Bad
    };
    report.answer(Question::Versions, names.join(", "), verdict);
    if !old.is_empty() {
        report.add([findings::old_versions(&old, "")]);
    }
    if !elsewhere.is_empty() {
        report.add([findings::old_versions(
            &elsewhere,
            " to who asks for no host or another one (SNI)",
        )]);
    }
    if old.len() == offered.len() {
        report.add([findings::no_modern_tls()]);
    } else if !offered.contains(&Version::Tls13) {
        report.add([findings::no_tls13()]);
    }
    for (what, why) in &offers.unclear {
        report.add([findings::not_learnt(what, why)]);
    }
}

fn tell_suites(offers: &Offers, report: &mut Report) {
    let mut counts = Vec::new();
    let mut verdict = Verdict::Good;
    if offers.unclear.iter().any(|(what, _)| *what == "cipher suites") {
        counts.push("not all could be asked for".to_owned());
        verdict = Verdict::Open;
    }
    for (weakness, taken) in &offers.weak_suites {
        counts.push(format!("{} with {}", taken.len(), weakness.words()));
        if *weakness < Weakness::ShortTag {
            verdict = Verdict::Bad;
        }
        report.add([findings::weak_suites(*weakness, taken)]);
    }
    let answer = if counts.is_empty() {
        "none".into()
    } else {
        counts.join(", ")
    };
    report.answer(Question::WeakSuites, answer, verdict);
}

/// What else of old versions should not be there any more.
fn tell_legacies(offers: &Offers, report: &mut Report) {
    let mut found = Vec::new();
    if !offers.weak_curves.is_empty() {
        let names: Vec<String> = offers
            .weak_curves
            .iter()
            .map(|curve| groups::name(*curve))
            .collect();
        found.push(format!("keys are agreed upon on {}", names.join(", ")));
        report.add([findings::weak_curves(&names)]);
    }
    if let Some(bits) = offers.shortest_prime.filter(|bits| *bits < groups::LEAST_PRIME) {
        found.push(format!("keys are agreed upon below a prime of {bits} bits"));
        report.add([findings::short_prime(bits)]);
    }
    if offers.compresses {
        found.push("it compresses".into());
        report.add([findings::compression()]);
    }
    if offers.renegotiates_unsafely {
        found.push("it knows nothing of safe renegotiation".into());
        report.add([findings::unsafe_renegotiation()]);
    }
    let verdict = match (found.is_empty(), offers.unclear.is_empty()) {
        (false, _) => Verdict::Bad,
        (true, true) => Verdict::Good,
        (true, false) => Verdict::Open,
    };
    let told = if found.is_empty() {
        "nothing weak".into()
    } else {
        found.join(", ")
    };
    report.answer(Question::KeyAgreement, told, verdict);
}
