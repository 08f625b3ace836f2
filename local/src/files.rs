//! Files of a home: nobody else's to read, and never half there.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Makes a folder and those above it that are not there.
pub(crate) fn make_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a file that is not there.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file that may be there, for whoever looks at it next.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

/// The same, with the folders above it, unless it holds that already. Answers whether it was written.
pub(crate) fn write_changed(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match fs::read(path) {
        Ok(held) if held == bytes => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    path.parent().map_or(Ok(()), make_folders)?;
    write(path, bytes).map(|()| true)
}

/// Takes what others may do with a file or a folder away, and with those in it.
pub(crate) fn close(path: &Path) -> io::Result<()> {
    let kind = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.file_type(),
    };
    if kind.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        return fs::read_dir(path)?.try_for_each(|entry| close(&entry?.path()));
    }
    if kind.is_file() { fs::set_permissions(path, fs::Permissions::from_mode(0o600)) } else { Ok(()) }
}

/// Writes a file whole, or leaves what stands there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    remove(&new)?; // of a process that was killed
    let mut file = create(&new)?;
    file.write_all(bytes)?;
    drop(file);
    put_in_place(&new, path)
}

/// Renames a file that is written whole, once it is on disk; the new name is on disk, too, when this returns.
pub(crate) fn put_in_place(new: &Path, path: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    fs::rename(new, path)?;
    sync_folder_of(path)
}

/// Waits until the names in the folder of a file are on disk.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The error says that the file (or the folder it was in) is not there.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The files of an SQLite database: itself, its log and what its processes share.
pub(crate) fn of_database(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    })
}

/// Copies all files below a folder, with the times at which they were changed.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    make_folders(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copied) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_tree(&source, &copied)?;
        } else {
            fs::copy(&source, &copied)?;
            let changed = entry.metadata()?.modified()?;
            File::options().write(true).open(&copied)?.set_modified(changed)?;
        }
    }
    Ok(())
}

/// Reads to the end, and shows all bytes.
pub(crate) fn read_through(
    mut from: impl io::Read,
    chunk_bytes: usize,
    mut see: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut chunk = vec![0; chunk_bytes];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => see(&chunk[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
