//! The life of the canary and its control, for `check` and `revoke --verify`: they are issued, shown to a
//! server, and revoked whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::context::{Context, system_clock};
use super::error::{Exit, Failure};
use super::handed_in;
use super::in_shell;
use super::ui::Ui;
use crate::ca::{self, Canaries, Canary, ClockPolicy, Desk, Ending, Session, Whom};
use crate::check::{
    self, Acted, Depth, Expected, Identities, Identity, Interrupted, Met, NewestCrl, Trial, Trust, Url,
    Watch, Who,
};
use crate::disk;
use crate::home::Home;
use crate::https::Resolve;
use crate::issuer::Devices;
use crate::model::{Authority, Contents, Draft, Kind, Reason, Serial, Span, Time};

/// How a server is found, judged and waited for.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The server")]
pub struct ServerArgs {
    /// Where a host is, instead of asking the name service
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    resolve: Vec<Resolve>,
    /// Also trust these CAs, or exactly this server's own certificate (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long to wait for the server to act on a publication, 30m at most; where nothing is said, `check`
    /// waits 30s and `revoke` 60s
    #[arg(long, value_name = "DURATION")]
    patience: Option<Span>,
}

/// How long everything may take that is asked of a server, beside waiting for it to act: with the usual
/// patience `check` ends within a minute, however slowly the server answers.
const ASKING: Duration = Duration::from_secs(25);

/// The longest file of certificates or pins that is read.
const LONGEST: u64 = 16 << 20;

impl ServerArgs {
    /// The time to wait for the server to act.
    ///
    /// # Errors
    /// Where no canary lives that long.
    pub fn patience(&self, usual: Span) -> Result<Duration, Failure> {
        let patience = self.patience.unwrap_or(usual);
        if patience > Draft::CANARY_WAIT {
            return Err(Failure::usage(format!(
                "--patience: {patience} is longer than a canary can be waited for, {}",
                Draft::CANARY_WAIT
            )));
        }
        Ok(Duration::from_secs(
            u64::try_from(patience.as_seconds()).unwrap_or(0),
        ))
    }

    /// The flags as they were typed, for a command that can be pasted.
    pub fn typed(&self) -> String {
        let resolve = self
            .resolve
            .iter()
            .map(|resolve| format!(" --resolve {}", in_shell(&resolve.to_string())));
        let ca = self
            .ca
            .iter()
            .map(|path| format!(" --ca {}", in_shell(&path.display().to_string())));
        resolve.chain(ca).collect()
    }

    /// Finds the server and examines it: nothing of the URL but the host is sent to it.
    ///
    /// # Errors
    /// Where there is none, or the certificates or pins that it is judged by cannot be read.
    pub fn meet(&self, url: &Url, home: Option<&Home>, patience: Duration, ui: &Ui) -> Result<Met, Failure> {
        let until = Instant::now() + ASKING + patience;
        let sign_of_life = ui.waiting();
        sign_of_life.set_message(format!("looking at {}", url.host()));
        sign_of_life.enable_steady_tick(Duration::from_millis(200));
        let met = self.look(url, home, until);
        sign_of_life.finish_and_clear();
        met
    }

    fn look(&self, url: &Url, home: Option<&Home>, until: Instant) -> Result<Met, Failure> {
        let mut trust = Trust::default();
        // What of the system's list cannot be read vouches for nobody.
        for certificate in rustls_native_certs::load_native_certs().certs {
            trust.add(&certificate);
        }
        if let Some(path) = &self.ca {
            let contents = Contents::of(&disk::read_given(path, LONGEST)?);
            let named = contents.all(Kind::Certificate);
            let named = named.map_err(|why| handed_in::no_certificate(path, &contents, &why))?;
            named
                .into_iter()
                .for_each(|certificate| trust.name(certificate.to_vec()));
        }
        let mut expected = Expected { trust, pins: None };
        if let Some(home) = home {
            expected.trust.add(home.chain().root().der());
            let pins = ca::published_pins(home)?;
            let sets = pins.map_or(Vec::new(), |pins| pins.sets);
            let overlap = home.config().pin_overlap;
            expected.pins = Some(check::Published { sets, overlap });
        }
        let server =
            check::Server::find(url.clone(), &self.resolve, until).map_err(check::CheckError::from)?;
        let met = check::meet(server, &expected, system_clock(), &mut crate::key::os_rng())?;
        Ok(met)
    }
}

/// The outcome of a canary's flight.
#[derive(Debug)]
pub struct Flown {
    /// Whether the server acted on its revocation, and the CRL that revokes it; none where it was never let
    /// in.
    pub acted: Option<(Acted, NewestCrl)>,
    /// The exit code of publishing.
    pub published: Exit,
}

/// Issues a canary and its control, shows them to the server, revokes the canary, and sees what the server
/// makes of that. Whatever happens between, both are revoked in the end: an interrupt waits, a panic goes on
/// afterwards. `server` is a server's identity, where there is one: it must not be let in as a device.
///
/// # Errors
/// Where they could not be issued, published or revoked, or it was interrupted.
pub fn fly(
    context: &Context,
    desk: &Desk,
    issuing: &Devices,
    met: &mut Met,
    server: Option<Identity>,
    depth: Depth,
    patience: Duration,
) -> Result<Flown, Failure> {
    let mut session = context.session(desk, &mut ClockPolicy::Strict)?;
    let uninterrupted = context.ui.uninterrupted();
    let sign_of_life = context.ui.waiting();
    let watch = Watch {
        waiting: &|text| {
            sign_of_life.set_message(text.to_owned());
            sign_of_life.tick();
        },
        is_interrupted: &|| uninterrupted.is_interrupted(),
        // What remains to be done when it has acted takes its time, too.
        patience: patience.min(met.left().saturating_sub(REMAINDER)),
    };
    let ending = match depth {
        Depth::Everything => Ending::Wanted,
        Depth::NewConnections => Ending::Unwanted,
    };
    let canaries = ca::issue_canaries(&mut session, issuing, ending)?;
    let mut flight = Flight {
        context,
        desk,
        issuing,
        valid: vec![canaries.canary.serial, canaries.control.serial],
        server,
    };
    context.ui.detail(format!(
        "canary {} and control {} issued, good until {}",
        canaries.canary.serial, canaries.control.serial, canaries.canary.validity.not_after
    ));
    let seen = catch_unwind(AssertUnwindSafe(|| {
        flight.show(session, &canaries, met, depth, &watch)
    }));
    sign_of_life.finish_and_clear();
    let mut left = flight.valid.clone();
    // By a clock behind the ledger's it has not ended yet.
    let ended = canaries.ended.as_ref();
    left.extend(
        ended
            .filter(|ended| !ended.validity.ended(system_clock()))
            .map(|ended| ended.serial),
    );
    let (_, published) = flight.revoke(&left)?;
    let acted = match seen {
        Ok(seen) => seen?,
        Err(panic) => resume_unwind(panic),
    };
    let acted = acted.map_err(|Interrupted| {
        Failure::new(
            Exit::Interrupted,
            "interrupted",
            "interrupted; the canary and its control are revoked",
        )
    })?;
    Ok(Flown { acted, published })
}

/// A canary and its control under way.
struct Flight<'a> {
    context: &'a Context,
    desk: &'a Desk,
    issuing: &'a Devices,
    /// Which of the two are not revoked.
    valid: Vec<Serial>,
    /// A server's identity.
    server: Option<Identity>,
}

/// What is kept of the time for a server for what comes after it has acted.
const REMAINDER: Duration = Duration::from_secs(5);

impl Flight<'_> {
    /// Tells servers of the two, for some have a list of whom they let in, and comes with them; revokes the
    /// canary, and comes again.
    fn show(
        &mut self,
        mut session: Session<'_>,
        canaries: &Canaries,
        met: &mut Met,
        depth: Depth,
        watch: &Watch<'_>,
    ) -> Result<Result<Option<(Acted, NewestCrl)>, Interrupted>, Failure> {
        self.context.publish_change(&mut session, self.issuing)?;
        drop(session);
        // It may be what has servers read the publication.
        self.context.run_commands();
        let identities = self.identities(canaries, depth)?;
        let trial = match Trial::begin(met, &identities, depth, watch) {
            Ok(Some(trial)) => trial,
            Ok(None) => return Ok(Ok(None)),
            Err(interrupted) => return Ok(Err(interrupted)),
        };
        let (crl, _) = self.revoke(&[canaries.canary.serial])?;
        let acted = trial.end(met, &crl, watch, &mut crate::key::os_rng());
        Ok(acted.map(|acted| Some((acted, crl))))
    }

    fn identities(&mut self, canaries: &Canaries, depth: Depth) -> Result<Identities, Failure> {
        let mut impostors = Vec::new();
        if depth == Depth::Everything {
            let control = &canaries.control;
            let rng = &mut crate::key::os_rng();
            let copy = check::copy_of_device(&self.chain(control), rng);
            impostors.push((Who::Copy, copy.map_err(check::CheckError::from)?));
            let below = check::below_device(&self.chain(control), &control.key, rng);
            impostors.push((Who::BelowDevice, below.map_err(check::CheckError::from)?));
            impostors.extend(self.server.take().map(|server| (Who::Server, server)));
        }
        let ended = match &canaries.ended {
            Some(ended) => Some((self.identity(ended)?, after(ended.validity.not_after))),
            None => None,
        };
        Ok(Identities {
            canary: self.identity(&canaries.canary)?,
            control: self.identity(&canaries.control)?,
            impostors,
            ended,
        })
    }

    fn chain(&self, canary: &Canary) -> Vec<Vec<u8>> {
        let issuing = self.issuing.chain().ca().der().to_vec();
        vec![canary.certificate.clone(), issuing]
    }

    fn identity(&self, canary: &Canary) -> Result<Identity, Failure> {
        Ok(check::identity(self.chain(canary), &canary.key).map_err(check::CheckError::from)?)
    }

    /// Revokes certificates like any device's, and publishes that.
    fn revoke(&mut self, serials: &[Serial]) -> Result<(NewestCrl, Exit), Failure> {
        let by_hand = |failure: Failure| {
            let commands: Vec<String> = serials
                .iter()
                .map(|serial| format!("`pki revoke {serial} --yes`"))
                .collect();
            failure.hint(format!(
                "a canary is not revoked: {} does it; it ends by itself within the hour",
                commands.join(" and ")
            ))
        };
        let mut session = self
            .context
            .session(self.desk, &mut ClockPolicy::Lenient)
            .map_err(by_hand)?;
        let before = session.store.last_crl(Authority::Issuing)?;
        for serial in serials {
            ca::revoke(&mut session, &Whom::Certificate(*serial), Reason::Unspecified)
                .map_err(|error| by_hand(error.into()))?;
            self.valid.retain(|valid| valid != serial);
        }
        let exit = self.context.publish_change(&mut session, self.issuing)?;
        let last = session.store.last_crl(Authority::Issuing)?;
        let crl = NewestCrl {
            number: last.map_or(0, |crl| crl.number),
            published: system_clock(),
            before_ends: before.map(|crl| crl.next_update),
        };
        drop(session);
        let followed = self.context.run_commands();
        let serials: Vec<String> = serials.iter().map(ToString::to_string).collect();
        self.context.ui.detail(format!(
            "{} revoked, by CRL {}",
            serials.join(" and "),
            crl.number
        ));
        Ok((crl, if exit == Exit::Done { followed } else { exit }))
    }
}

/// When a certificate has ended that is good through this second.
fn after(not_after: Time) -> Instant {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let end = Duration::from_secs(u64::try_from(not_after.unix() + 1).unwrap_or(0));
    Instant::now() + end.saturating_sub(now)
}
