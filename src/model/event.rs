//! The events of the ledger: the facts that it keeps, and from which everything else is derived.

use super::encoding::{base64, hex32};
use serde::{Deserialize, Serialize};

use super::acme::{AccountId, AcmeGrant, BoundKey};
use super::authority::Authority;
use super::check_value::CheckValue;
use super::constraints::NameConstraints;
use super::host::Host;
use super::invite::{EnrolledBy, Invite, RefusedKey};
use super::invite_link::InviteId;
use super::pin::Pin;
use super::platform::{Form, Platform};
use super::revocation::Reason;
use super::serial::Serial;
use super::server::{Certified, OldPin, Origin, ServerCertificate};
use super::subject::{Address, Email, Employee, PersonName};
use super::time::Time;
use super::validity::Validity;

/// One acknowledged event: its place in the ledger, when and by whom, and what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number, from 1 without a gap.
    pub seq: u64,
    /// The time when it was committed, by the clock of the machine that did.
    pub time: Time,
    /// The account that ran the command, and the account behind it. As the system and sudo report it; nothing
    /// proves it.
    pub by: String,
    /// The fact that it records.
    #[serde(flatten)]
    pub fact: Fact,
}

/// A fact that the ledger records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Fact {
    /// The home was made; always the first event.
    Initialized {
        /// The organization in every subject.
        organization: String,
        /// SHA-256 of the root's certificate, hexadecimal.
        root: String,
        /// SHA-256 of the issuing CA's certificate, hexadecimal.
        issuing: String,
        /// The name constraints of its CAs, where the root does not state all of them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        permitted: Option<NameConstraints>,
    },
    /// A certificate was signed.
    Issued(Box<Issued>),
    /// A bundle was delivered: it is on disk, in the place that was asked for.
    Delivered {
        /// The serial number of the certificate.
        serial: Serial,
        /// SHA-256 of the bundle's file, hexadecimal.
        sha256: String,
        /// The certificates of the same device that it replaces: superseded from now on.
        supersedes: Vec<Serial>,
    },
    /// A certificate is no longer good.
    Revoked {
        /// The serial number of the certificate.
        serial: Serial,
        /// The device that it was for; absent where only a published CRL knew of it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        address: Option<Address>,
        /// The reason of the revocation.
        reason: Reason,
        /// The time of the revocation, where that is not the event's own time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since: Option<Time>,
    },
    /// A certificate was found in a published list, signed by this CA, and not in the ledger: a home from an
    /// older backup had lost it.
    Recovered(Recovered),
    /// The operator said that a recovered certificate is to stay.
    Kept {
        /// The serial number of the certificate.
        serial: Serial,
    },
    /// An employee left; nothing is issued to her until she is reinstated.
    Offboarded {
        /// The employee who left.
        employee: Employee,
    },
    /// An employee who had left is back.
    Reinstated {
        /// The employee who is back.
        employee: Employee,
    },
    /// A CRL was signed.
    CrlSigned {
        /// The CA that signed it.
        authority: Authority,
        /// Its cRLNumber (RFC 5280 §5.2.3).
        number: u64,
        /// Its thisUpdate.
        this_update: Time,
        /// Its nextUpdate.
        next_update: Time,
        /// How many certificates it revokes.
        entries: u64,
        /// SHA-256 of its DER, hexadecimal.
        sha256: String,
    },
    /// A publication was written.
    Published {
        /// The number of the public area's manifest.
        public: u64,
        /// The number of the server area's manifest.
        server: u64,
        /// The directories it went to, beside the home's own.
        targets: Vec<String>,
        /// SHA-256 of the server area's `manifest.json`, hexadecimal: by it the lists are known that this
        /// ledger has made.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        server_manifest: Option<String>,
    },
    /// The servers' CA was made.
    ServersCa {
        /// Its certificate, DER.
        #[serde(with = "base64")]
        certificate: Vec<u8>,
    },
    /// A server was taken in: from now on its pins are published.
    ServerAdded {
        /// Its name.
        host: Host,
        /// Whether apps are to hold the hosts below it to the same pins.
        include_subdomains: bool,
        /// The pin of the key that it uses.
        active: Pin,
        /// The origin of that key: made here, or elsewhere.
        origin: Origin,
        /// The pin of the key that it will use next.
        backup: Pin,
    },
    /// A server's certificate was signed by the servers' CA.
    ServerCertified(Box<Certified>),
    /// A server's certificate of another CA was taken in.
    ServerImported {
        /// The host of the server.
        host: Host,
        /// The details of the certificate.
        #[serde(flatten)]
        certificate: ServerCertificate,
    },
    /// A server's backup key took the place of its active one.
    ServerRotated {
        /// The host of the server.
        host: Host,
        /// The pin of the new backup key.
        backup: Pin,
        /// The fate of the old key's pin.
        old_pin: OldPin,
    },
    /// A server was taken out of the register: it has no keys any more that apps are to hold it to.
    ServerRemoved {
        /// The host of the server.
        host: Host,
        /// The fate of its pins.
        old_pins: OldPin,
    },
    /// A server's certificate of the servers' CA is no longer good.
    ServerRevoked {
        /// The serial number of the certificate.
        serial: Serial,
        /// The host that it was for; absent where only a published CRL knew of it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        host: Option<Host>,
        /// The reason of the revocation.
        reason: Reason,
        /// The time of the revocation, where that is not the event's own time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since: Option<Time>,
    },
    /// The pin sets were signed.
    PinsSigned {
        /// Their number, which only rises.
        number: u64,
        /// The time until which apps use them.
        expires: Time,
        /// Every pin in them.
        pins: Vec<Pin>,
        /// SHA-256 of `pins.json`, hexadecimal.
        sha256: String,
    },
    /// A new epoch of the shared keys of a host began.
    HmacRotated {
        /// The host.
        host: Host,
        /// Its number.
        epoch: u32,
        /// By which its secret is known.
        check: CheckValue,
        /// The time until which the keys of the epochs before are good at most.
        previous_until: Time,
    },
    /// Secrets of a host were handed out: those that all keys follow from, for the server, or the key of one
    /// device.
    HmacHandedOut {
        /// The host.
        host: Host,
        /// The device, where it is its key.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        address: Option<Address>,
    },
    /// A published list knew of a later certificate that the shared keys of a device follow from.
    HmacFirst {
        /// The device.
        address: Address,
        /// The certificate.
        first: Serial,
    },
    /// A server may order certificates itself.
    AcmeGranted(AcmeGrant),
    /// A client was bound to an account by its secret, or went over to another key by the one before.
    AcmeBound {
        /// The account.
        account: AccountId,
        /// The key of the client from now on.
        #[serde(flatten)]
        key: BoundKey,
    },
    /// An operator cancelled an account.
    AcmeCancelled {
        /// The account.
        account: AccountId,
        /// Whether the key of its client is given up with it, because somebody else may have it.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        gives_up_key: bool,
    },
    /// The client of an account gave it up.
    AcmeDeactivated {
        /// The account.
        account: AccountId,
    },
    /// An invite was made: a device may enroll itself.
    InviteCreated(Box<InviteCreated>),
    /// A key was shown with the secret of an invite, and waits for an operator.
    InviteAsked {
        /// The invite.
        id: InviteId,
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        #[serde(with = "hex32")]
        spki: [u8; 32],
    },
    /// An operator approved the key that was shown.
    InviteApproved {
        /// The invite.
        id: InviteId,
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        #[serde(with = "hex32")]
        spki: [u8; 32],
        /// The same, signed by the issuing CA: a JWS in compact form.
        statement: String,
    },
    /// A key redeemed an invite. Its certificate is in the same batch, or was issued with the invite and is
    /// delivered in the same batch.
    InviteRedeemed {
        /// The invite.
        id: InviteId,
        /// The serial number of the certificate.
        serial: Serial,
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        #[serde(with = "hex32")]
        spki: [u8; 32],
        /// The network that the bundle was handed out to, where the key was made with the invite.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        from: Option<String>,
    },
    /// The bundle of an invite was handed out once more, to another network than before.
    InviteFetchedAgain {
        /// The invite.
        id: InviteId,
        /// The network, as for [`Self::InviteRefused`].
        from: String,
    },
    /// A key was refused that came with the secret of an invite.
    InviteRefused {
        /// The invite.
        id: InviteId,
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        #[serde(with = "hex32")]
        spki: [u8; 32],
        /// The reason of the refusal.
        why: RefusedKey,
        /// The network that it came from: the first 24 bits of an IPv4 address, the first 48 of an IPv6
        /// address.
        from: String,
    },
    /// Too many keys or codes were refused: nobody redeems the invite after that.
    InviteSuspended {
        /// The invite.
        id: InviteId,
    },
    /// An operator took an invite back.
    InviteCancelled {
        /// The invite.
        id: InviteId,
    },
    /// The home was restored from a backup. What happened since that was made is not known here, and nothing
    /// is signed, until the next [`Self::Reconciled`].
    Restored {
        /// The time when the backup was made.
        made: Time,
        /// How many events it had.
        events: u64,
    },
    /// What happened between a backup and its restore was looked for; what was found is in the same batch.
    Reconciled {
        /// The places that were read: of `pki.toml`, or handed in.
        read: Vec<String>,
        /// The places of `pki.toml` that could not be read, or knew less than the backup, and that the
        /// operator gave up by name.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        given_up: Vec<String>,
    },
    /// A key was encrypted with another passphrase: the root's, or all that the everyday passphrase opens.
    PassphraseChanged {
        /// Whose passphrase it is: of the root, or of the issuing CA.
        authority: Authority,
    },
    /// The operator went on although the clock was before the last event, or far after it.
    ClockConfirmed {
        /// The time by the clock.
        clock: Time,
        /// The last event's time.
        last: Time,
    },
}

/// An invite, and that the issuing CA stands by it: whoever can write to the home and has no key invites
/// nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteCreated {
    /// The invite.
    #[serde(flatten)]
    pub invite: Invite,
    /// The same, signed by the issuing CA: a JWS in compact form.
    pub statement: String,
}

/// A certificate and everything that was asked for with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// The device that it is for.
    pub address: Address,
    /// The full name of the holder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<PersonName>,
    /// The holder's e-mail address, even where it is not permitted in the certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<Email>,
    /// The platform of the device.
    #[serde(rename = "for")]
    pub platform: Platform,
    /// The profile's name.
    pub profile: String,
    /// The validity in days, if one was asked for explicitly: a renewal asks for the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub days: Option<i64>,
    /// The origin of the device's key.
    #[serde(flatten)]
    pub key: KeySource,
    /// The certificates that it replaces once it is delivered.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub supersedes: Vec<Serial>,
    /// How the device came to it, where no operator issued it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enrolled_by: Option<EnrolledBy>,
    /// The validity period of the certificate.
    #[serde(flatten)]
    pub validity: Validity,
    /// SHA-256 of its SubjectPublicKeyInfo.
    #[serde(with = "hex32")]
    pub spki_sha256: [u8; 32],
    /// The certificate, DER.
    #[serde(with = "base64")]
    pub certificate: Vec<u8>,
}

/// The details of a certificate that a published list gives: enough to revoke it, and no basis for another
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Its serial number.
    pub serial: Serial,
    /// The device that it is for.
    pub address: Address,
    /// The end of the validity period (notAfter), inclusive.
    pub not_after: Time,
    /// Whether a newer one had taken its place already.
    pub superseded: bool,
    /// The certificates of the same device whose place it had taken.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub supersedes: Vec<Serial>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    #[serde(with = "hex32")]
    pub spki_sha256: [u8; 32],
    /// SHA-256 of the certificate, DER.
    #[serde(with = "hex32")]
    pub certificate_sha256: [u8; 32],
}

/// The origin of a device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "key", rename_all = "lowercase")]
pub enum KeySource {
    /// Made here and handed out in a PKCS#12 bundle.
    Bundle {
        /// The form of encryption of the bundle.
        p12: Form,
    },
    /// Made by the device, which asked with a CSR; or by the program for its own use, in memory.
    Request,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_as_it_was_written() {
        let event = Event {
            seq: 7,
            time: Time::from_unix(1_800_000_000),
            by: "root".into(),
            fact: Fact::Issued(Box::new(Issued {
                serial: Serial::from_random([7; 16]),
                address: "alice/phone".parse().unwrap(),
                name: Some("Zoë".parse().unwrap()),
                email: None,
                platform: Platform::Ios,
                profile: "device".into(),
                days: Some(365),
                key: KeySource::Bundle { p12: Form::Modern },
                supersedes: vec![],
                enrolled_by: None,
                validity: Validity {
                    not_before: Time::from_unix(1_800_000_000),
                    not_after: Time::from_unix(1_800_000_999),
                },
                spki_sha256: [9; 32],
                certificate: vec![0x30, 0x00],
            })),
        };
        let text = serde_json::to_string(&event).unwrap();
        assert!(
            text.contains(r#""event":"issued""#) && text.contains(r#""key":"bundle","p12":"modern""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
