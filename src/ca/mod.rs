//! The operations on a home: issuance, revocation, publication, the register of servers, setup. Every change
//! of a home is one of these, whichever interface it is asked through.
//!
//! A change begins with a [`Session`]: the lock, the open store and the time that holds for it. The lock is
//! never held while a person types or a key is being unlocked.

#[cfg(test)]
mod fuzz_tests;
mod acme;
mod custody;
mod delivery;
mod enrollment;
mod expiry;
mod hmac;
mod error;
mod issuance;
mod key_file;
mod key_owner;
mod note;
mod publishing;
mod residence;
mod revocation;
mod secret_file;
mod servers;
mod session;
mod setup;
mod timer;
mod not_found;

pub use acme::error::AcmeError;
pub use acme::{
    AcmeDenial, AcmeDone, AcmeRequest, Answer as AcmeAnswer, MOST_NAMES, NewAccount, Ordering, Revoker,
    TakenBack, ToEnd, WhichAccount, accounts_to_end, cancel as cancel_accounts, certify_ordered,
    change as change_account, demand_grantable, forget_ended as forget_ended_accounts,
    grant as grant_account, open_account, open_accounts_of, secret_path as acme_secret_path,
};
pub use custody::backup::{BackedUp, Goes, OpenedBy, back_up};
pub use custody::drill::{Drill, last_drill, note_drill};
pub use custody::error::CustodyError;
pub use custody::last::{LastBackup, last_backup};
pub use custody::passphrase::{change_everyday_passphrase, change_root_passphrase, opens};
pub use custody::restore::{Purpose, Restored, Unpacked, unpack};
pub use delivery::bundle_delivery::BundleDelivery;
pub use delivery::bundle_files::{Codes, RootInProfile, apple_profile};
pub use delivery::error::DeliveryError;
pub use delivery::in_memory::InMemory;
pub use delivery::output_dir::OutputDir;
pub use delivery::passphrases::PassphraseDelivery;
pub use delivery::path_policy::{demand_new_file, real};
pub use delivery::{Delivery, Receipt, Uncommitted, Undelivered};
pub use enrollment::batch::{Attempt, Granted, How, enroll};
pub use enrollment::by_bundle::{Handout, invite_by_bundle};
pub use enrollment::denial::Denial;
pub use enrollment::error::EnrollmentError;
pub use enrollment::fetch::Fetching;
pub use enrollment::handout::{
    bundle as handed_out, end_handouts, outdated as outdated_handouts, waits as waits_to_be_fetched,
};
pub use enrollment::redeem::{Redeeming, Showing};
pub use enrollment::renew::{Renewing, renews_itself};
pub use enrollment::second_use::{Other, SecondUse, second_uses};
pub use enrollment::{
    Asking, Invitation, all_open_invites, approve_invite, cancel_invite, invite, open_of_device,
    open_of_employee, plan_invite, withdraw_invites,
};
pub use error::CaError;
pub use expiry::{RenewalDue, renewal_due};
pub use hmac::error::HmacError;
pub use hmac::{
    KeyName, KeysToHandOut, NewSecret, ShownKey, device_file, hmac_host, open_secret, record_hand_out,
    rotate as rotate_hmac, secret_path as hmac_secret_path, server_file,
};
pub use issuance::again::hand_out_again;
pub use issuance::batch::{BATCH, Tally, issue_all};
pub use issuance::canary::{Canaries, Canary, Ending, issue_canaries};
pub use issuance::error::IssuanceError;
pub use issuance::plan::{Intent, KeyRequest, Leavers, Old, Plan, Replaces, Request, in_use, plan};
pub use issuance::remembered::{Asked, Difference, differences, holder, mistakable, mistakable_person};
pub use issuance::roster::{PeopleError, Person, read_people};
pub use issuance::{Issuance, issue};
pub use key_owner::{UnfitKey, keys_given_up};
pub use not_found::NotFound;
pub use publishing::crl::SignedCrl;
pub use publishing::doubt::{Doubts, Unsigned};
pub use publishing::error::PublishingError;
pub use publishing::lists::{Extent, has_short_lists};
pub use publishing::owed::{Following, owed_commands, owed_files, settle, untold_places};
pub use publishing::pending::{
    Behind, behind, behind_within, foreign, pins_are_ahead, places_forgotten, strays, unwritable,
};
pub use publishing::pin_sets::published_pins;
pub use publishing::published::own_copy;
pub use publishing::reconcile::{Sources, is_undecided, keep, recover};
pub use publishing::root_crl::sign_root_crl;
pub use publishing::signed_before::bring_signed_before;
pub use publishing::{Keys, Published, Refresh, Scope, refresh, refresh_within};
pub use residence::Copied;
pub use revocation::{
    Revoked, Whom, invites_of, offboard, raise, revoke, revoke_unrecorded, to_raise, to_take_back,
};
pub use servers::authority::{
    found_servers, install_servers, open_servers, published_servers_ca, servers_chain, servers_key,
    servers_request,
};
pub use servers::certificates::{Delivered, certify, revoke_server, write_request};
pub use servers::error::ServersError;
pub use servers::keys::{CertifiedKey, NewKey, key_path, open_key};
pub use servers::serving::{newest_certificate, serving_certificate};
pub use servers::{
    Haste, Imported, Subdomains, add, demand_active, demand_for, demand_nobody_elses, demand_overlap,
    demand_taken_by_apps, import, removable, remove, reserve_known, rotate,
};
pub use session::{ClockPolicy, Desk, Session, SessionError};
pub use setup::error::SetupError;
pub use setup::{Founded, Founding, Passphrases, examine, found};
pub use timer::{EndingAuthority, EndingServer, Ends, ending_authorities, last_timer, note_timer};

use error::recording;
