//! Blobs: bodies of any size, taken into files and checked on the way.

use cloud::bucket::Spool;
use cloud::http::Reply;
use cloud::peer::{Call, Fault, Peer, PeerError};
use flate2::write::MultiGzDecoder;
use url::Url;

use crate::error::{AzureError, SignedLink};

/// A blob that a call's login opens, as often as it takes.
pub(crate) async fn blob(peer: &Peer, call: &Call<'_>, shape: Shape) -> Result<Taken, AzureError> {
    let name = file_name(&call.url);
    peer.attempts(async || take(peer.open_once(call).await?, &name, shape).await).await
}

/// A blob that the link itself opens: a token must not go with it.
pub(crate) async fn signed_blob(peer: &Peer, link: &Url, shape: Shape) -> Result<Taken, AzureError> {
    let name = file_name(link);
    let call = Call::get(&SignedLink, link.clone()).named(name.as_str());
    blob(peer, &call, shape).await.map_err(|error| match error {
        AzureError::Peer(error) if error.fault == Fault::Denied => AzureError::LinkExpired(error),
        AzureError::Peer(error) if error.fault == Fault::NotFound => AzureError::Contradiction {
            document: "the cost details report".into(),
            reason: format!("it names {name}, which is not there (404)"),
        },
        other => other,
    })
}

/// What is said of a blob before it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) stated_bytes: Option<u64>,
    pub(crate) is_gzip: bool,
}

/// A blob as it came.
pub(crate) struct Taken {
    pub(crate) spool: Spool,
    /// Its size when it is unpacked, of a gzip.
    pub(crate) unpacked_bytes: Option<u64>,
}

impl Taken {
    /// Whether it has the size that Azure states. Of a gzip that may be the size of either.
    fn check(&self, blob: &str, stated: Option<u64>) -> Result<(), AzureError> {
        let found = self.spool.bytes();
        match stated {
            Some(stated) if stated != found && self.unpacked_bytes != Some(stated) => {
                Err(cut_short(blob, format!("{stated} bytes are stated, {found} came")))
            }
            _ => Ok(()),
        }
    }
}

/// Counts what is unpacked.
struct Counter(u64);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes in a body of any size; a gzip is unpacked on the way, to see that it is whole.
async fn take(mut reply: Reply, blob: &str, shape: Shape) -> Result<Taken, AzureError> {
    let stated = reply.content_length();
    let mut spool = Spool::new()?;
    let mut unpacked = shape.is_gzip.then(|| MultiGzDecoder::new(Counter(0)));
    let broken = |error: std::io::Error| cut_short(blob, format!("it is no whole gzip: {error}"));
    while let Some(piece) = reply.chunk().await.map_err(|error| PeerError::interrupted(blob, error))? {
        if let Some(unpacked) = &mut unpacked {
            std::io::Write::write_all(unpacked, &piece).map_err(broken)?;
        }
        spool.write(&piece).await?;
    }
    let unpacked_bytes = match unpacked {
        Some(mut unpacked) => {
            unpacked.try_finish().map_err(broken)?;
            Some(unpacked.get_ref().0)
        }
        None => None,
    };
    let taken = Taken { spool, unpacked_bytes };
    taken.check(blob, stated)?;
    taken.check(blob, shape.stated_bytes)?;
    Ok(taken)
}

fn cut_short(blob: &str, reason: String) -> AzureError {
    PeerError::new(Fault::Interrupted, format!("{blob} is cut short: {reason}"), "it is not kept").into()
}

/// The last part of a URL's path.
pub(crate) fn file_name(url: &Url) -> String {
    url.path().rsplit('/').next().unwrap_or_default().to_owned()
}
