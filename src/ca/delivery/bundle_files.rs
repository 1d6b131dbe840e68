//! Makes the files of one device: its bundle with Apple's profile and QR codes where these are wanted, or its
//! certificate alone. They are rehearsed before the commit and assembled after it.

use std::path::PathBuf;

use data_encoding::HEXLOWER;

use super::Undelivered;
use super::file_names::with_extension;
use crate::bundle::{self, BundleKeys, Code, Contents, MobileConfig, RootCertificate};
use crate::ca::CaError;
use crate::disk::Shown;
use crate::issuer::Chain;
use crate::key::{KeyError, os_rng};
use crate::model::Address;
use crate::model::event::{Issued, KeySource};

/// Whether QR codes of the bundles are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// PNG and SVG beside each bundle.
    Drawn,
    /// No QR codes.
    None,
}

/// Whether an Apple profile asks to trust the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootInProfile {
    /// The profile does not.
    Omitted,
    /// The profile does, by `--with-root`.
    Included,
}

/// The files of a device, ready to be written. The name of each is the stem with its extension.
pub(in crate::ca) struct Ready {
    pub stem: PathBuf,
    /// The stem for all of them where the first one's name has been taken since it was chosen.
    pub if_taken: PathBuf,
    /// The extension and the octets of each.
    pub files: Vec<File>,
}

type File = (&'static str, Vec<u8>);

impl Ready {
    /// The path of each file.
    pub fn places(&self) -> impl Iterator<Item = PathBuf> {
        let extensions = self.files.iter().map(|(extension, _)| extension);
        extensions.map(|extension| with_extension(&self.stem, extension))
    }

    /// The octets of each.
    pub fn contents(&self) -> impl Iterator<Item = &[u8]> {
        self.files.iter().map(|(_, octets)| octets.as_slice())
    }
}

/// The most octets that a PKCS#12 has beside certificates and names: the key, salts, identifiers and padding.
const OVERHEAD: usize = 900;

/// The settings by which every bundle of a batch is made.
pub(in crate::ca) struct BundleFiles<'a> {
    pub chain: &'a Chain,
    /// The template of the Apple profile.
    pub template: String,
    pub codes: Codes,
    pub root: RootInProfile,
}

impl BundleFiles<'_> {
    /// Makes what comes with a bundle from octets of about its length, before anything is recorded: a
    /// template that does not work, or a bundle too long for a code, would fail after the commit, and again
    /// with every try. Returns the lengths of the files, or a little more.
    pub fn rehearse(&self, issued: &Issued) -> Result<Vec<usize>, CaError> {
        if matches!(issued.key, KeySource::Request) {
            return Ok(vec![self.chain.fullchain(&issued.certificate).len()]);
        }
        let label = friendly_name(issued);
        let lengths = issued.certificate.len() + self.chain.ca().der().len() + 4 * label.len();
        let p12 = vec![0; lengths + OVERHEAD];
        let mut lengths = vec![p12.len()];
        if issued.platform.takes_mobileconfig() {
            lengths.push(self.profile(issued, &p12)?.len());
        }
        if self.codes == Codes::Drawn {
            let code = Code::new(&bundle::credential(&p12))?;
            lengths.extend([code.to_png()?.len(), code.to_svg().len()]);
        }
        Ok(lengths)
    }

    /// The files to hand out for one device. If its key was made here and `keys` are given: the PKCS#12
    /// bundle, and the Apple profile and the QR codes where these are wanted. Otherwise: the certificate and
    /// the issuing CA's, in PEM. Each with the extension of its name.
    ///
    /// # Errors
    /// Where the key cannot be encoded, or the bundle, the profile or a QR code cannot be made.
    pub fn assemble(&self, one: &Undelivered, keys: Option<BundleKeys>) -> Result<Vec<File>, CaError> {
        let issued = one.committed.issued();
        let (Some(key), Some(keys)) = (&one.key, keys) else {
            let text = self.chain.fullchain(&issued.certificate);
            return Ok(vec![("crt", text.into_bytes())]);
        };
        let unencodable = |why: KeyError| CaError::Key {
            path: Shown("the device's key".into()),
            why,
        };
        let label = friendly_name(issued);
        let key = key.pkcs8().map_err(unencodable)?;
        let contents = Contents {
            friendly_name: &label,
            key: &key,
            leaf: &issued.certificate,
            authorities: &[self.chain.ca().der()],
        };
        let p12 = bundle::encode(&contents, keys, &mut os_rng())?;
        let mut files = Vec::new();
        if issued.platform.takes_mobileconfig() {
            files.push(("mobileconfig", self.profile(issued, &p12)?.into_bytes()));
        }
        if self.codes == Codes::Drawn {
            let code = Code::new(&bundle::credential(&p12))?;
            files.push(("qr.png", code.to_png()?));
            files.push(("qr.svg", code.to_svg().into_bytes()));
        }
        files.insert(0, ("p12", p12));
        Ok(files)
    }

    /// Apple's configuration profile with this bundle.
    fn profile(&self, issued: &Issued, p12: &[u8]) -> Result<String, CaError> {
        apple_profile(self.chain, &self.template, issued, self.root, p12)
    }
}

/// Apple's configuration profile with a bundle, from this template.
///
/// # Errors
/// Where the template is faulty, or a name has what XML cannot say.
pub fn apple_profile(
    chain: &Chain,
    template: &str,
    issued: &Issued,
    root_in_it: RootInProfile,
    p12: &[u8],
) -> Result<String, CaError> {
    let root = chain.root();
    let fingerprint = HEXLOWER.encode(&root.sha256()[..8]);
    let profile = MobileConfig {
        identifier: &format!("pki.{fingerprint}.{}", labels(&issued.address)),
        display_name: &friendly_name(issued),
        organization: &chain.issuer().organization,
        p12,
        issuing: chain.ca().der(),
        root: match root_in_it {
            RootInProfile::Omitted => RootCertificate::Omitted,
            RootInProfile::Included => RootCertificate::Included(root.der()),
        },
    };
    Ok(profile.render(template, &mut os_rng())?)
}

/// The name of the identity that systems show.
fn friendly_name(issued: &Issued) -> String {
    let name = issued
        .name
        .as_ref()
        .map_or(issued.address.employee.as_str(), |name| name.as_str());
    format!("{name} ({})", issued.address.device)
}

/// The labels of a device in a reverse-DNS identifier, no two devices the same: `alice.phone`. The last one
/// is the device, so that `a/b.c` and `a.b/c` differ; what would not fit is spelled out behind an underscore,
/// with which no name of ours begins.
fn labels(address: &Address) -> String {
    let spelled = |name: &str| format!("_{}", name.replace('_', "_u").replace('.', "_d"));
    let (employee, device) = (address.employee.as_str(), address.device.as_str());
    let fits = !employee.split('.').any(str::is_empty);
    let employee = if fits {
        employee.to_owned()
    } else {
        spelled(employee)
    };
    let device = if device.contains('.') {
        spelled(device)
    } else {
        device.to_owned()
    };
    format!("{employee}.{device}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_devices_have_the_same_identifier() {
        let labels = |address: &str| labels(&address.parse().unwrap());
        // As they were in every version.
        assert_eq!(labels("alice/phone"), "alice.phone");
        assert_eq!(labels("alice.smith/work-phone_2"), "alice.smith.work-phone_2");
        assert_eq!(labels("a/b.c_d"), "a._b_dc_ud");
        assert_eq!(labels("a../b"), "_a_d_d.b");
        let names: Vec<String> = [
            "a", "a.", "a..", "a.a", "a._a", "a_d", "a_da", "a_u", "a_", "aa", "a._a_da",
        ]
        .map(str::to_owned)
        .to_vec();
        let mut seen = std::collections::HashSet::new();
        for employee in &names {
            for device in &names {
                let found = labels(&format!("{employee}/{device}"));
                assert!(found.split('.').all(|label| !label.is_empty()), "{found}");
                assert!(seen.insert(found.clone()), "{employee}/{device}: {found}");
            }
        }
    }
}
