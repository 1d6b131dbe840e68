//! The parameters of a renewal, and what comes of it.

use std::path::Path;
use std::time::Duration;

use super::url::EstUrl;
use crate::https::Resolve;
use crate::model::Time;

/// The parameters of a renewal.
#[derive(Debug)]
pub struct Order<'a> {
    /// Where the service is.
    pub url: &'a EstUrl,
    /// The device's certificate, with or without those above it.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
    /// The root's certificate, below which service and devices are.
    pub root: &'a Path,
    /// The addresses of hosts for which the name service is not asked.
    pub resolve: &'a [Resolve],
    /// How long to wait for another renewal of the same files.
    pub wait: Duration,
    /// The time limit for all that is asked of the service.
    pub timeout: Duration,
    /// Whether somebody is to be told of an exchange: see [`is_untold`](super::is_untold).
    pub announces: bool,
    /// Whether this is a trial that changes nothing and sends no request.
    pub is_trial: bool,
    /// The current time.
    pub now: Time,
}

/// What a look at the files tells, without opening the key.
#[derive(Debug)]
pub struct Look {
    /// Whether there is something to do: the certificate is due, or an earlier run was cut off.
    pub is_due: bool,
    /// Whether the key is encrypted.
    pub is_encrypted: bool,
    /// The time from which the certificate is renewed.
    pub from: Time,
    /// The end of its life.
    pub until: Time,
}

/// The outcome of a renewal.
#[derive(Debug)]
pub enum Outcome {
    /// It is not due.
    NotDue,
    /// A new certificate and its key are in place: the end of its life.
    Renewed(Time),
    /// An earlier run had been cut off, and what it got is in place now: the end of its life.
    Finished(Time),
    /// In a trial: it would be asked for, and the service is the right one.
    Would,
}
