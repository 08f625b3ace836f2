use std::collections::BTreeSet;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

fn tree(keys: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for key in keys {
        let path = folder.path().join("bucket").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, key).unwrap();
    }
    folder
}

fn names(root: &Path, input: ListObjectsV2Input) -> (Vec<String>, Vec<String>, ListObjectsV2Output) {
    let output = list_objects_v2(root, &Etags::new(root.to_owned()), input).unwrap();
    let objects = output.contents.iter().flatten().filter_map(|object| object.key.clone()).collect();
    let groups = output.common_prefixes.iter().flatten().filter_map(|group| group.prefix.clone()).collect();
    (objects, groups, output)
}

fn input() -> ListObjectsV2Input {
    ListObjectsV2Input { bucket: "bucket".into(), ..ListObjectsV2Input::default() }
}

#[test]
fn keys_come_in_the_order_of_their_bytes() {
    let folder = tree(&["a.b", "a/b", "a-b", "a0", "b", "a/b.c/d", "a/b-c", "é", "Z/z", "z"]);
    fs::create_dir_all(folder.path().join("bucket/empty/deeper")).unwrap();
    let (objects, groups, _) = names(folder.path(), input());
    assert_eq!(objects, ["Z/z", "a-b", "a.b", "a/b", "a/b-c", "a/b.c/d", "a0", "b", "z", "é"]);
    assert!(groups.is_empty());

    let slashes = ListObjectsV2Input { delimiter: Some("/".into()), ..input() };
    let (objects, groups, output) = names(folder.path(), slashes);
    assert_eq!(objects, ["a-b", "a.b", "a0", "b", "z", "é"]);
    assert_eq!(groups, ["Z/", "a/"], "a folder without files is none");
    assert_eq!((output.key_count, output.is_truncated), (Some(8), Some(false)));
}

#[test]
fn an_object_is_listed_with_its_size_time_and_etag() {
    let folder = tree(&["raw/hello"]);
    let (_, _, output) = names(folder.path(), input());
    let object = output.contents.unwrap().remove(0);
    let modified = fs::metadata(folder.path().join("bucket/raw/hello")).unwrap().modified().unwrap();
    assert_eq!((object.size, object.last_modified), (Some(9), Some(Timestamp::from(modified))));
    assert_eq!(object.e_tag, Some(ETag::Strong("24423f4f52de2e5a23f5ae874b14a9f7".into())));
}

#[test]
fn limits_and_refusals() {
    let folder = tree(&["a", "b"]);
    let none = ListObjectsV2Input { max_keys: Some(0), ..input() };
    let (objects, _, output) = names(folder.path(), none);
    assert_eq!((objects.len(), output.is_truncated), (0, Some(false)));
    let (_, _, output) = names(folder.path(), ListObjectsV2Input { max_keys: Some(5000), ..input() });
    assert_eq!(output.max_keys, Some(1000));

    let etags = Etags::new(folder.path().to_owned());
    let negative = ListObjectsV2Input { max_keys: Some(-1), ..input() };
    let error = list_objects_v2(folder.path(), &etags, negative).unwrap_err();
    assert_eq!(error.code().as_str(), "InvalidArgument");
    let missing = ListObjectsV2Input { bucket: "other".into(), ..input() };
    let error = list_objects_v2(folder.path(), &etags, missing).unwrap_err();
    assert_eq!(error.code().as_str(), "NoSuchBucket");
}

#[test]
fn what_goes_away_meanwhile_is_not_listed() {
    let folder = tree(&["a", "b", "c/d", "e"]);
    let bucket = folder.path().join("bucket");
    let wanted = Wanted { prefix: String::new(), delimiter: None, after: String::new(), max_keys: 10 };
    let etags = Etags::new(folder.path().to_owned());
    let page = page(&bucket, &wanted, |key, path| {
        if key == "a" {
            fs::remove_file(bucket.join("b")).unwrap();
            fs::remove_dir_all(bucket.join("c")).unwrap();
        }
        etags.describe("bucket", key, path)
    });
    let names: Vec<String> = page.unwrap().items.iter().map(|item| item.name().to_owned()).collect();
    assert_eq!(names, ["a", "e"]);
}

/// What S3 says a listing is: all keys with the prefix, sorted, those with the delimiter folded into one.
fn naive(keys: &BTreeSet<String>, wanted: &Wanted) -> Vec<String> {
    let fold = |key: &String| {
        let rest = key.strip_prefix(&wanted.prefix)?;
        let group = wanted.delimiter.as_ref().and_then(|delimiter| rest.split_once(delimiter.as_str()));
        let delimiter = wanted.delimiter.as_deref().unwrap_or_default();
        Some(group.map_or(key.clone(), |(before, _)| format!("{}{before}{delimiter}", wanted.prefix)))
    };
    let items: BTreeSet<String> = keys.iter().filter_map(fold).collect();
    items.into_iter().filter(|item| *item > wanted.after).collect()
}

fn walk(root: &Path, wanted: &Wanted) -> Vec<String> {
    let described = Described { size: 0, modified: SystemTime::UNIX_EPOCH, etag: String::new() };
    let (mut all, mut after) = (Vec::new(), wanted.after.clone());
    loop {
        let wanted =
            Wanted { prefix: wanted.prefix.clone(), delimiter: wanted.delimiter.clone(), after, ..*wanted };
        let page = page(root, &wanted, |_, _| Ok(Some(described.clone()))).unwrap();
        assert!(page.items.len() <= wanted.max_keys);
        all.extend(page.items.iter().map(|item| item.name().to_owned()));
        assert!(all.is_sorted_by(|one, other| one < other), "{all:?}");
        if !page.is_truncated {
            return all;
        }
        assert_eq!(page.items.len(), wanted.max_keys);
        after = all.last().unwrap().clone();
    }
}

/// Few different characters, around the slash in the order of bytes, so that names are often each other's beginning.
const PART: &str = "[-.0aé]{1,3}";

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(PART.prop_filter("a name", |part| part != "." && part != ".."), 1..4)
        .prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_listing_is_all_keys_sorted_whatever_the_page(
        keys in prop::collection::vec(key(), 0..24),
        prefix in "([-.0aé/]{0,3})|([-.0a]{1,2}/[-.0a]{0,2})",
        delimiter in prop::option::of("[-.0a/]{1,2}"),
        after in "[-.0aé/]{0,4}",
        max_keys in 1usize..8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut written = BTreeSet::new();
        for key in keys {
            let path = folder.path().join(&key);
            // a name cannot be both a file and a folder
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && fs::write(path, "").is_ok() {
                written.insert(key);
            }
        }
        let wanted = Wanted { prefix, delimiter, after, max_keys };
        let expected = naive(&written, &wanted);
        prop_assert_eq!(&walk(folder.path(), &wanted), &expected);
        let unpaged = Wanted { max_keys: 1000, ..wanted };
        prop_assert_eq!(&walk(folder.path(), &unpaged), &expected);
    }
}
