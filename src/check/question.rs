//! Those who must not get in, and one who may.

use std::thread;

use super::client::{Client, Identity, Outcome, Sessions};
use super::forgery::Forged;
use super::{Met, Question, Verdict, findings};

/// Comes without a certificate and with forged ones. True: the server asks for certificates, so that it is worth coming with a valid one.
pub fn question(met: &mut Met, forged: &Forged) -> bool {
    let server = &met.server;
    let client = |identity| Client::new(&met.versions, identity, Some(&met.leaves), Sessions::Fresh);
    let nobody = client(None);
    let impostors = [&forged.by_namesake, &forged.self_signed].map(|identity| client(Some(identity)));
    let (without, outcomes) = thread::scope(|scope| {
        let impostors = impostors
            .each_ref()
            .map(|client| scope.spawn(|| client.ask(server)));
        let without = nobody.ask(server);
        let panicked = |_| Outcome::Unknown("it could not be asked".into());
        (
            without,
            impostors.map(|asked| asked.join().unwrap_or_else(panicked)),
        )
    });
    let asks = nobody.was_asked();
    let report = &mut met.report;
    let told = if asks {
        without.to_string()
    } else {
        format!("{without}, and none is asked for")
    };
    report.answer(Question::NoCertificate, told, verdict(&without));
    match &without {
        Outcome::LetIn(_) => report.add([findings::not_demanded(&without)]),
        Outcome::Unknown(_) => report.add([findings::unclear("who shows no certificate", &without)]),
        Outcome::Refused(_) => {}
    }
    if !asks {
        report.add([findings::not_asked()]);
        return false;
    }
    let asked = [
        (
            Question::OtherAuthority,
            "a certificate of another CA of the same names",
        ),
        (
            Question::SelfSigned,
            "a self-signed certificate with the root's name",
        ),
    ];
    for ((question, who), outcome) in asked.into_iter().zip(outcomes) {
        report.answer(question, &outcome, verdict(&outcome));
        match &outcome {
            // Where nobody needs one, that this one gets in says nothing of it.
            Outcome::LetIn(_) if matches!(without, Outcome::LetIn(_)) => {}
            Outcome::LetIn(_) => report.add([findings::impostor_accepted(who, &outcome)]),
            Outcome::Unknown(_) => report.add([findings::unclear(&format!("who shows {who}"), &outcome)]),
            Outcome::Refused(_) => {}
        }
    }
    true
}

/// Comes once with a valid identity.
pub fn ask_once(met: &mut Met, identity: &Identity) {
    let client = Client::new(&met.versions, Some(identity), Some(&met.leaves), Sessions::Fresh);
    let outcome = client.ask(&met.server);
    tell_valid(met, &outcome);
}

/// Says how a valid certificate was met.
pub(super) fn tell_valid(met: &mut Met, outcome: &Outcome) {
    let verdict = match outcome {
        Outcome::LetIn(_) => Verdict::Good,
        Outcome::Refused(_) => Verdict::Bad,
        Outcome::Unknown(_) => Verdict::Open,
    };
    met.report.answer(Question::Valid, outcome, verdict);
    match outcome {
        Outcome::LetIn(_) => {}
        Outcome::Refused(_) => met.report.add([findings::valid_refused(outcome)]),
        Outcome::Unknown(_) => met
            .report
            .add([findings::unclear("who shows a valid certificate", outcome)]),
    }
}

/// Of somebody who must be turned away.
pub(super) fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::LetIn(_) => Verdict::Bad,
        Outcome::Refused(_) => Verdict::Good,
        Outcome::Unknown(_) => Verdict::Open,
    }
}
