//! What models were used: tokens and cost day by day ([`cost`], `usage.cost`), and how much is left of providers' quotas
//! ([`quotas`], `usage.status`).
//!
//! [`ledger`] is written by `sessions`, inside the write that stores a reply; both answers are asked for by
//! `methods/usage.rs`. Built once by the gateway.

mod cost;
pub mod ledger;
mod quotas;

pub use cost::Costs;
pub use quotas::Quotas;
