//! Invites for devices that cannot make a key: the bundle is made with the invite, and the service hands it
//! out to whoever has the secret. Until then its certificate is undelivered, and on no list of those whom
//! servers let in.

use super::handout;
use super::{Asking, Invitation, ids, one};
use crate::bundle::MobileConfig;
use crate::ca::delivery::bundle_files::{BundleFiles, Codes, RootInProfile};
use crate::ca::delivery::secrets::Secrets;
use crate::ca::delivery::{Delivery, Receipt, Uncommitted, Undelivered};
use crate::ca::issuance::issue;
use crate::ca::issuance::plan::{Intent, KeyRequest, Request, plan};
use crate::ca::session::Session;
use crate::ca::{CaError, EnrollmentError};
use crate::issuer::{Chain, Devices};
use crate::key::Passphrase;
use crate::model::{Fact, Form};

/// Delivery into the home, from where the service hands the bundle out. Nobody has it yet: there is no
/// receipt that makes the certificate a delivered one.
pub struct Handout {
    secrets: Secrets,
    passphrase: Option<Passphrase>,
}

impl Handout {
    /// Makes the passphrase of a bundle of this form, and stretches it: before the home's lock is taken.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn of(form: Form) -> Result<Self, CaError> {
        let mut secrets = Secrets::new(None);
        secrets.make([form])?;
        Ok(Self {
            secrets,
            passphrase: None,
        })
    }
}

impl Delivery for Handout {
    /// The template of Apple's profile is tried: the service will make one of the bundle.
    fn prepare(
        &mut self,
        session: &Session<'_>,
        chain: &Chain,
        batch: &[Uncommitted],
    ) -> Result<(), CaError> {
        let files = files(session, chain)?;
        let mut octets = 0;
        for one in batch {
            let lengths = files.rehearse(one.signed.issued())?;
            octets += lengths.iter().sum::<usize>();
            self.secrets.make(one.plan.form())?;
        }
        Ok(handout::make_room(&session.desk.home, octets, batch.len())?)
    }

    fn deliver(
        &mut self,
        session: &Session<'_>,
        chain: &Chain,
        batch: Vec<Undelivered>,
    ) -> Result<Vec<Receipt>, CaError> {
        let files = files(session, chain)?;
        let mut receipts = Vec::with_capacity(batch.len());
        for one in &batch {
            let secret = one.plan.form().and_then(|form| self.secrets.take(form));
            let secret = secret.expect("a secret was made for each bundle before it was recorded");
            let made = files.assemble(one, Some(secret.keys))?;
            let bundle = made
                .first()
                .map(|(_, octets)| octets.as_slice())
                .unwrap_or_default();
            let invite = one.plan.handed_out().expect("the plan is of an invite");
            let place = handout::keep(&session.desk.home, &invite, bundle)?;
            self.passphrase = secret.generated;
            receipts.push(Receipt {
                files: vec![place],
                bundle_sha256: None,
            });
        }
        Ok(receipts)
    }
}

fn files<'a>(session: &Session<'_>, chain: &'a Chain) -> Result<BundleFiles<'a>, CaError> {
    let template = session
        .desk
        .home
        .template("mobileconfig.plist", MobileConfig::TEMPLATE)?;
    Ok(BundleFiles {
        chain,
        template,
        codes: Codes::None,
        root: RootInProfile::Omitted,
    })
}

/// Invites a device that gets its key in a bundle, which is made now and kept in the home until the device
/// fetches it or the invite ends. In one batch with the certificate, so that no kill leaves one of them
/// alone.
///
/// # Errors
/// Where policy would refuse the certificate, or nothing can be recorded.
pub fn invite_by_bundle(
    session: &mut Session<'_>,
    devices: &Devices,
    asking: Asking,
    mut handout: Handout,
) -> Result<Invitation, CaError> {
    if asking.with_approval {
        return Err(EnrollmentError::NothingToCompare.into());
    }
    let request = Request {
        holder: asking.holder.clone(),
        days: asking.days,
        profile: asking.profile.clone(),
        key: KeyRequest::Bundle(asking.holder.platform.form()),
    };
    let intent = Intent::Invited(asking.replaces);
    let mut invitation = one(session, asking)?;
    let mut plan = plan(&session.store, &session.desk.home, &request, intent, session.now)?;
    plan.handed_out = Some(Box::new(invitation.invite.clone()));
    plan.cancels = invitation.cancels.clone();
    // A certificate that nobody has fetched counts among those whose bundles were lost.
    let cancelled = ids(&plan.cancels).into_iter();
    plan.ends = cancelled.map(|id| Fact::InviteCancelled { id }).collect();
    let issued = issue(session, devices, vec![plan], &mut handout)?;
    invitation.invite.server_key = issued.first().map(|issued| issued.serial);
    invitation.passphrase = handout.passphrase.take();
    Ok(invitation)
}
