use std::fs;
use std::path::Path;

use futures::TryStreamExt;
use http::{Extensions, HeaderMap, Method, Uri};
use s3s::dto::{ETag, StreamingBlob};

use super::*;
use crate::home::Home;

const BUCKET: &str = crate::BUCKET;

fn bucket(root: &Path) -> (Home, NotifyingBucket) {
    let home = Home::open(root).unwrap();
    fs::create_dir_all(home.s3().join(BUCKET)).unwrap();
    let files = FileSystem::new(home.s3()).unwrap();
    let (template, queue) = (Template::built_in().unwrap(), Queue::new(&home));
    let bucket = NotifyingBucket::new(files, home.s3(), template, queue);
    (home, bucket)
}

fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::GET,
        uri: Uri::from_static("/"),
        headers: HeaderMap::new(),
        extensions: Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

async fn put(bucket: &NotifyingBucket, key: &str, text: &str) {
    let mut input = PutObjectInput::default();
    (input.bucket, input.key) = (BUCKET.into(), key.into());
    input.body = Some(StreamingBlob::from(s3s::Body::from(text.to_owned())));
    input.content_type = Some("text/plain".into());
    bucket.put_object(request(input)).await.unwrap();
}

fn get(key: &str) -> GetObjectInput {
    GetObjectInput { bucket: BUCKET.into(), key: key.into(), ..GetObjectInput::default() }
}

async fn body(output: GetObjectOutput) -> String {
    let chunks: Vec<bytes::Bytes> = output.body.unwrap().try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn a_plain_file_reads_as_the_file_system_underneath_would_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let (home, bucket) = bucket(folder.path());
    for (key, length) in [("x/empty", 0), ("x/small", 5), ("x/limit", 1 << 20), ("x/large", (1 << 20) + 1)] {
        fs::create_dir_all(home.object(key).parent().unwrap()).unwrap();
        fs::write(home.object(key), "z".repeat(length)).unwrap();
        let ours = bucket.get_object(request(get(key))).await.unwrap().output;
        let theirs = bucket.0.files.get_object(request(get(key))).await.unwrap().output;
        let facts = |output: &GetObjectOutput| {
            let (etag, modified) = (output.e_tag.clone(), output.last_modified.clone());
            (output.content_length, etag, modified, output.content_type.clone())
        };
        assert_eq!(facts(&ours), facts(&theirs), "{key}");
        assert_eq!(body(ours).await, body(theirs).await, "{key}");
        let fast = reading::read_small(&home.s3(), &bucket.0.etags, BUCKET, key);
        assert_eq!(fast.is_some(), length <= 1 << 20, "{key}");
    }
}

#[tokio::test]
async fn what_is_more_than_a_small_file_is_left_to_the_file_system_underneath() {
    let folder = tempfile::tempdir().unwrap();
    let (home, bucket) = bucket(folder.path());
    put(&bucket, "x/put", "hello").await;
    let output = bucket.get_object(request(get("x/put"))).await.unwrap().output;
    assert_eq!(output.content_type.as_deref(), Some("text/plain"));
    assert_eq!(body(output).await, "hello");

    fs::write(home.object("x/plain"), "hello").unwrap();
    let part =
        GetObjectInput { range: Some(s3s::dto::Range::Int { first: 1, last: Some(2) }), ..get("x/plain") };
    assert_eq!(body(bucket.get_object(request(part)).await.unwrap().output).await, "el");
    let missing = bucket.get_object(request(get("x/missing"))).await.unwrap_err();
    assert_eq!(missing.code().as_str(), "NoSuchKey");
    for key in ["x", "x/", "x//plain", "x/../x/plain", "../queue"] {
        assert!(reading::read_small(&home.s3(), &bucket.0.etags, BUCKET, key).is_none(), "{key}");
    }
}

#[tokio::test]
async fn a_listing_says_what_a_look_at_each_object_says() {
    let folder = tempfile::tempdir().unwrap();
    let (home, bucket) = bucket(folder.path());
    put(&bucket, "x/put", "hello").await;
    put(&bucket, "x/again", "one").await;
    put(&bucket, "x/again", "two, and longer").await;
    fs::write(home.object("x/plain"), "plain").unwrap();
    put(&bucket, "x/overwritten", "before").await;
    fs::write(home.object("x/overwritten"), "after").unwrap();

    for _ in 0..2 {
        let input =
            ListObjectsV2Input { bucket: BUCKET.into(), prefix: Some("x/".into()), ..Default::default() };
        let listed = bucket.list_objects_v2(request(input)).await.unwrap().output.contents.unwrap();
        assert_eq!(listed.len(), 4);
        for object in listed {
            let mut input = HeadObjectInput::default();
            (input.bucket, input.key) = (BUCKET.into(), object.key.unwrap());
            let head = bucket.head_object(request(input)).await.unwrap().output;
            assert_eq!(object.e_tag, head.e_tag);
            assert!(matches!(object.e_tag, Some(ETag::Strong(_))));
            assert_eq!((object.size, object.last_modified), (head.content_length, head.last_modified));
        }
    }
}

async fn try_put(bucket: &NotifyingBucket, key: &str) -> S3Result<()> {
    let mut input = PutObjectInput::default();
    (input.bucket, input.key) = (BUCKET.into(), key.into());
    input.body = Some(StreamingBlob::from(s3s::Body::from("x".to_owned())));
    bucket.put_object(request(input)).await.map(|_| ())
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn a_key_that_names_no_file_of_its_own_is_refused_by_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bucket) = bucket(folder.path());
    put(&bucket, "a/b", "hello").await;
    let before = files_below(folder.path());
    for key in ["../../evil", "..", "a/../b", "./a", "a/.", "/etc/passwd", "a//b", "/", "a//"] {
        let mut input = HeadObjectInput::default();
        (input.bucket, input.key) = (BUCKET.into(), key.into());
        let head = bucket.head_object(request(input)).await.map(|_| ());
        let mut input = DeleteObjectInput::default();
        (input.bucket, input.key) = (BUCKET.into(), key.into());
        let delete = bucket.delete_object(request(input)).await.map(|_| ());
        let mut input = CreateMultipartUploadInput::default();
        (input.bucket, input.key) = (BUCKET.into(), key.into());
        let upload = bucket.create_multipart_upload(request(input)).await.map(|_| ());
        let read = bucket.get_object(request(get(key))).await.map(|_| ());
        for answer in [try_put(&bucket, key).await, read, head, delete, upload] {
            let error = answer.unwrap_err();
            assert_eq!(error.code().as_str(), "InvalidArgument", "{key}");
            assert_eq!(error.status_code().unwrap(), 400, "{key}");
        }
    }
    assert_eq!(files_below(folder.path()), before);
}

#[tokio::test]
async fn a_folder_is_no_object_and_an_object_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bucket) = bucket(folder.path());
    put(&bucket, "bills/2026-09/acme.csv", "hello").await;
    for key in ["bills", "bills/2026-09", "bills/2026-09/acme.csv/x"] {
        let error = try_put(&bucket, key).await.unwrap_err();
        assert_eq!(error.code().as_str(), "InvalidArgument", "{key}");
        assert!(error.message().unwrap().contains("keeps objects as files"), "{error:?}");
        let error = bucket.get_object(request(get(key))).await.unwrap_err();
        assert_eq!(error.code().as_str(), "NoSuchKey", "{key}");
        let mut input = DeleteObjectInput::default();
        (input.bucket, input.key) = (BUCKET.into(), key.into());
        bucket.delete_object(request(input)).await.unwrap();
    }
    assert_eq!(
        body(bucket.get_object(request(get("bills/2026-09/acme.csv"))).await.unwrap().output).await,
        "hello"
    );
}
