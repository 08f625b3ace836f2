//! What a window's reports are made of: the journal's files and the catalog, as they stand.

use billing::catalog::CURRENT;
use billing::certificate::DocumentRef;
use billing::keys::{JournalKey, journal_folder};
use billing::revenue::Window;
use billing::revision::sha256_hex;
use bytes::Bytes;
use cloud::bucket::{BucketError, Object};
use futures::{StreamExt, TryStreamExt, stream};

use crate::Reader;

/// One file of the journal, read.
pub(crate) struct File {
    pub(crate) key: JournalKey,
    pub(crate) bytes: Bytes,
    pub(crate) document: DocumentRef,
    etag: String,
}

/// Everything that was read.
pub(crate) struct Inputs {
    /// By key.
    pub(crate) files: Vec<File>,
    /// Objects in the folders that are no journal files, and why.
    pub(crate) strays: Vec<(String, String)>,
    pub(crate) catalog: Option<Bytes>,
    catalog_etag: Option<String>,
}

/// What stands there: keys with their ETags.
type Listing = Vec<(String, String)>;

#[cfg(test)]
impl Inputs {
    /// A journal of these files, each a name of October 2026 and its text, and a catalog.
    pub(crate) fn of(files: &[(&str, &str)], catalog: Option<&str>) -> Self {
        let file = |(name, text): &(&str, &str)| {
            let key = JournalKey::parse(&format!("journal/2026-10/{name}")).unwrap();
            let document = DocumentRef { key: key.as_str().to_owned(), sha256: sha256_hex(text.as_bytes()) };
            File { key, bytes: Bytes::from((*text).to_owned()), document, etag: String::new() }
        };
        let catalog = catalog.map(|catalog| Bytes::from(catalog.to_owned()));
        Self { files: files.iter().map(file).collect(), strays: Vec::new(), catalog, catalog_etag: None }
    }
}

impl Reader {
    /// Reads everything.
    pub(crate) async fn inputs(&self, window: &Window) -> Result<Inputs, BucketError> {
        let listing = self.listing(window).await?;
        let (mut keys, mut strays) = (Vec::new(), Vec::new());
        for (key, _) in listing {
            match JournalKey::parse(&key) {
                Ok(key) => keys.push(key),
                Err(why) => strays.push((key, why.to_string())),
            }
        }
        // boxed: the future of a call to S3 is large, and a stream moves its futures
        let reads = stream::iter(keys).map(|key| Box::pin(self.read(key))).buffered(self.concurrency);
        let files = reads.try_filter_map(|file| async move { Ok(file) }).try_collect().await?;
        let (catalog, catalog_etag) = self.catalog().await?.map(|object| (object.bytes, object.etag)).unzip();
        Ok(Inputs { files, strays, catalog, catalog_etag })
    }

    /// Whether what was read is what stands there now.
    pub(crate) async fn still_stands(&self, inputs: &Inputs, window: &Window) -> Result<bool, BucketError> {
        let mut listing = self.listing(window).await?;
        listing.retain(|(key, _)| !inputs.strays.iter().any(|(stray, _)| stray == key));
        let read = inputs.files.iter().map(|file| (file.key.as_str(), file.etag.as_str()));
        let same = read.eq(listing.iter().map(|(key, etag)| (key.as_str(), etag.as_str())));
        Ok(same && self.bucket.etag(CURRENT).await? == inputs.catalog_etag)
    }

    /// Everything in the folders of the window's months, by key. A folder that a console has made is an empty object whose key
    /// ends with a slash.
    async fn listing(&self, window: &Window) -> Result<Listing, BucketError> {
        let folders = stream::iter(window.months().into_iter().map(journal_folder));
        let lists = folders.map(|folder| async move { self.bucket.list(&folder).await });
        let listed: Vec<_> = lists.buffered(self.concurrency).try_collect().await?;
        let objects = listed.into_iter().flatten().filter(|object| !object.key.ends_with('/'));
        Ok(objects.map(|object| (object.key, object.etag)).collect())
    }

    /// A file; nothing if it has gone since it was listed.
    async fn read(&self, key: JournalKey) -> Result<Option<File>, BucketError> {
        let Some(object) = self.bucket.get(key.as_str(), None).await? else { return Ok(None) };
        let document = DocumentRef { key: key.as_str().to_owned(), sha256: sha256_hex(&object.bytes) };
        Ok(Some(File { key, bytes: object.bytes, document, etag: object.etag }))
    }

    async fn catalog(&self) -> Result<Option<Object>, BucketError> {
        self.bucket.get(CURRENT, None).await
    }
}
