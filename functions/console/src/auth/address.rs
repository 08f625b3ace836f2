//! Where a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use lambda_http::request::RequestContext;

/// The address that failures are counted by: as Lambda or the connection says, never as a header does. Of IPv6 the network, since one
/// customer of an ISP has 2^64 addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(String);

impl ClientAddress {
    pub(crate) fn new(text: &str) -> Self {
        Self(match text.parse() {
            Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_none() => {
                let [a, b, c, d, ..] = ip.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Ok(ip) => ip.to_canonical().to_string(),
            Err(_) => "unknown".into(),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let by_lambda = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
            _ => None,
        };
        let by_connection = || {
            let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            info.map(|ConnectInfo(address)| address.ip().to_string())
        };
        Ok(Self::new(&by_lambda.or_else(by_connection).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let is = |text, expected: &str| assert_eq!(ClientAddress::new(text).as_str(), expected);
        is("192.0.2.7", "192.0.2.7");
        is("::ffff:192.0.2.7", "192.0.2.7");
        is("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        is("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64");
        is("", "unknown");
    }
}
