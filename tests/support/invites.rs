//! Many invites and many keys, made in this process: a command for each would take longer than what is tried
//! with them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pki::ca::{Asking, ClockPolicy, Desk, Replaces};
use pki::home::Home;
use pki::issuer::Devices;
use pki::key::{Passphrase, SoftwareKey, os_rng};
use pki::model::draft::Holder;
use pki::model::{Authority, Platform, Span, Time};
use pki::x509::request;

/// An invite, and what only the invited person has.
pub struct Invited {
    pub id: String,
    pub secret: String,
    pub code: Option<String>,
}

/// Invites the phones of so many people, `guest0` and so on, each with a code where it is asked for.
pub fn invite_many(home: &Path, passphrase: &str, count: usize, with_code: bool) -> Vec<Invited> {
    let clock = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Time::from_unix(i64::try_from(since.as_secs()).unwrap())
    };
    let home = Home::open(home).unwrap();
    let passphrase = Passphrase::from_octets(passphrase.as_bytes().to_vec().into()).unwrap();
    let key = SoftwareKey::decrypt(&home.key(Authority::Issuing).unwrap(), &passphrase).unwrap();
    let devices = Devices::open(home.chain().clone(), key, home.config().base_url.clone()).unwrap();
    let profile = home.profile("device").unwrap();
    let desk = Desk {
        home,
        by: "tests".into(),
        holder: "tests".into(),
        patience: Duration::from_secs(30),
        clock,
        goes_on_here: false,
        reconciles: false,
    };
    let askings = (0..count).map(|n| Asking {
        holder: Holder {
            address: format!("guest{n}/phone").parse().unwrap(),
            name: None,
            email: None,
            platform: Platform::Any,
        },
        days: None,
        profile: profile.clone(),
        open_for: Span::days(1),
        with_code,
        with_approval: false,
        replaces: Replaces::Nothing,
    });
    let mut session = desk.session(ClockPolicy::Strict).unwrap();
    let invitations = pki::ca::invite(&mut session, &devices, askings.collect()).unwrap();
    let one = |invitation: pki::ca::Invitation| Invited {
        id: invitation.invite.id.to_string(),
        secret: invitation.secret.expose(),
        code: invitation.code.map(|code| code.to_string()),
    };
    invitations.into_iter().map(one).collect()
}

/// Requests for certificates, PEM, each for a new key.
pub fn requests(count: usize) -> Vec<String> {
    let request = |_| request::create(None, &SoftwareKey::generate(&mut os_rng())).unwrap();
    (0..count).map(request).collect()
}
