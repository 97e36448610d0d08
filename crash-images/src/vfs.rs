//! The recording VFS: SQLite's own unix VFS with a log.
//!
//! It becomes the default VFS of the process, so that the code under test opens its files as always. Files outside of a
//! recorded directory get the unix VFS itself.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, RwLock};

use rusqlite::ffi::{
    SQLITE_ERROR, SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};

use crate::{Event, FileId};

/// Whether the disk does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honesty {
    /// What was synced is durable.
    Honest,
    /// Syncs are acknowledged and nothing is durable: a test that finds no loss on such a disk finds none at all.
    Lying,
}

/// Records what SQLite does below a directory, as long as it lives.
#[derive(Debug)]
pub struct Recorder {
    recording: Arc<Recording>,
}

#[derive(Debug)]
struct Recording {
    root: PathBuf,
    honesty: Honesty,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    names: HashMap<String, FileId>,
    files: u64,
}

/// The directories that are recorded now.
static RECORDINGS: RwLock<Vec<Arc<Recording>>> = RwLock::new(Vec::new());
static SYNCS: AtomicUsize = AtomicUsize::new(0);

impl Recorder {
    /// Records what happens below an existing directory from here on; what is in it already is durable.
    pub fn start(root: &Path, honesty: Honesty) -> Self {
        let root = canonical(root);
        let mut log = Log::default();
        log.take_up(&root, "");
        Self::with(root, honesty, log)
    }

    /// Goes on after what was recorded elsewhere: the directory holds what a killed process left, and none of it is more
    /// durable than it was there.
    pub fn go_on_after(root: &Path, events: &[Event]) -> Self {
        let mut log = Log { events: events.to_vec(), ..Log::default() };
        for event in events {
            match event {
                Event::Created { name, file } => {
                    log.names.insert(name.clone(), *file);
                    log.files = log.files.max(file.0);
                }
                Event::Removed { name } => {
                    log.names.remove(name);
                }
                _ => {}
            }
        }
        Self::with(canonical(root), Honesty::Honest, log)
    }

    fn with(root: PathBuf, honesty: Honesty, log: Log) -> Self {
        register();
        let recording = Arc::new(Recording { root, honesty, log: Mutex::new(log) });
        let before = SYNCS.load(Ordering::SeqCst);
        std::fs::File::open(&recording.root).and_then(|root| root.sync_all()).expect("a directory that can be synced");
        assert!(SYNCS.load(Ordering::SeqCst) > before, "the program was linked with another `fsync` than this crate's");
        RECORDINGS.write().unwrap_or_else(PoisonError::into_inner).push(recording.clone());
        Self { recording }
    }

    /// Notes a number in the log: whatever the test was promised before the next event.
    pub fn note(&self, number: u64) {
        self.recording.log().events.push(Event::Noted(number));
    }

    /// What was recorded so far.
    pub fn events(&self) -> Vec<Event> {
        self.recording.log().events.clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let mut recordings = RECORDINGS.write().unwrap_or_else(PoisonError::into_inner);
        recordings.retain(|recording| !Arc::ptr_eq(recording, &self.recording));
    }
}

impl Recording {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name_of(&self, path: &Path) -> Option<String> {
        Some(path.strip_prefix(&self.root).ok()?.to_string_lossy().into_owned())
    }

    /// A file or directory was synced.
    fn synced(&self, name: String, path: &Path) {
        if self.honesty == Honesty::Lying {
            return;
        }
        if path.is_dir() {
            self.directory_synced(name);
            return;
        }
        let mut log = self.log();
        if let Some(file) = log.names.get(&name).copied() {
            let through = log.events.len();
            log.events.push(Event::Synced { file, through });
        }
    }

    fn directory_synced(&self, directory: String) {
        let mut log = self.log();
        let found = std::fs::read_dir(self.root.join(&directory)).into_iter().flatten().flatten();
        let subdirectories = found.filter(|entry| entry.path().is_dir()).filter_map(|entry| self.name_of(&entry.path())).collect();
        let through = log.events.len();
        log.events.push(Event::DirectorySynced { directory, subdirectories, through });
    }
}

impl Log {
    /// Logs a directory's files as written and synced.
    fn take_up(&mut self, root: &Path, directory: &str) {
        let mut subdirectories = Vec::new();
        for entry in std::fs::read_dir(root.join(directory)).expect("a directory").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("a path below the root").to_string_lossy().into_owned();
            if path.is_dir() {
                subdirectories.push(name);
                continue;
            }
            let file = self.create(name);
            self.events.push(Event::Written { file, at: 0, bytes: std::fs::read(&path).expect("a file").into() });
            self.events.push(Event::Synced { file, through: self.events.len() });
        }
        subdirectories.iter().for_each(|subdirectory| self.take_up(root, subdirectory));
        let through = self.events.len();
        self.events.push(Event::DirectorySynced { directory: directory.into(), subdirectories, through });
    }

    fn create(&mut self, name: String) -> FileId {
        self.files += 1;
        let file = FileId(self.files);
        self.names.insert(name.clone(), file);
        self.events.push(Event::Created { name, file });
        file
    }
}

/// A path without links, as SQLite gives it to the VFS.
fn canonical(root: &Path) -> PathBuf {
    root.canonicalize().expect("an existing directory")
}

/// The recording that a path belongs to, and the path's name in it.
fn recording_of(path: &Path) -> Option<(Arc<Recording>, String)> {
    let recordings = RECORDINGS.read().unwrap_or_else(PoisonError::into_inner);
    recordings.iter().find_map(|recording| Some((recording.clone(), recording.name_of(path)?)))
}

/// Takes the place of the C library's function in this program: SQLite's, and that of the code under test.
#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: c_int) -> c_int {
    SYNCS.fetch_add(1, Ordering::SeqCst);
    // Of a file that was removed this is no path, and of what has no name nothing is recorded.
    if let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
        && let Some((recording, name)) = recording_of(&path)
    {
        recording.synced(name, &path);
    }
    // Nothing needs to reach a disk here.
    0
}

/// The same: Cauri makes no difference between the two.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    fsync(descriptor)
}

/// An open file: SQLite allocates it, with room for the unix VFS's own file behind it.
#[repr(C)]
struct RecordedFile {
    base: sqlite3_file,
    recording: *const Recording,
    file: FileId,
}

/// Makes the recording VFS the process's default, once.
fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: the default VFS is SQLite's own and is never unregistered; ours is leaked, so it lives as long.
        unsafe {
            let unix = sqlite3_vfs_find(std::ptr::null());
            assert!(!unix.is_null(), "SQLite has a default VFS");
            let ours = Box::new(sqlite3_vfs {
                szOsFile: (*unix).szOsFile + size_of::<RecordedFile>() as c_int,
                zName: c"recording".as_ptr(),
                pNext: std::ptr::null_mut(),
                pAppData: unix.cast(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_pathname),
                ..*unix
            });
            assert_eq!(sqlite3_vfs_register(Box::into_raw(ours), 1), SQLITE_OK, "the VFS is taken");
        }
    });
}

/// The unix VFS. Methods that use neither the VFS nor its data (randomness, sleep, time) were copied from it.
///
/// # Safety
/// `ours` is the VFS that [`register`] made.
unsafe fn unix(ours: *mut sqlite3_vfs) -> *mut sqlite3_vfs {
    // SAFETY: `register` put it there.
    unsafe { (*ours).pAppData.cast() }
}

/// The unix VFS's file behind ours.
///
/// # Safety
/// `file` was allocated by SQLite with `szOsFile` bytes.
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` has room for both; our part's size is a multiple of the alignment of pointers.
    unsafe { file.cast::<u8>().add(size_of::<RecordedFile>()).cast() }
}

/// What a recorded file belongs to.
///
/// # Safety
/// `file` was opened by [`open`] and is not closed yet.
unsafe fn recorded<'a>(file: *mut sqlite3_file) -> (&'a Recording, FileId) {
    // SAFETY: `open` leaves a counted reference in the file, which `close` takes back.
    unsafe {
        let file = file.cast::<RecordedFile>();
        (&*(*file).recording, (*file).file)
    }
}

/// # Safety
/// `name` is null or ends with a null byte.
unsafe fn path_of<'a>(name: *const c_char) -> Option<&'a Path> {
    // SAFETY: the caller's.
    (!name.is_null()).then(|| Path::new(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())))
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with our VFS, a name that is null or a C string, and a file of `szOsFile` bytes. Where nothing is
    // recorded the file becomes the unix VFS's own, which needs less.
    unsafe {
        let unix = unix(vfs);
        let Some(unix_open) = (*unix).xOpen else { return SQLITE_ERROR };
        let Some((recording, name_in_log)) = path_of(name).and_then(recording_of) else {
            return unix_open(unix, name, file, flags, out_flags);
        };
        (*file).pMethods = std::ptr::null();
        // Under the log's lock, so that of two that create one file the first is the one in the log.
        let mut log = recording.log();
        let existed = recording.root.join(&name_in_log).exists();
        let opened = unix_open(unix, name, inner(file), flags, out_flags);
        if opened != SQLITE_OK {
            if !(*inner(file)).pMethods.is_null() {
                let _ = forward_close(inner(file));
            }
            return opened;
        }
        // A name that the code under test removed by other means leads to a new file.
        let known = log.names.get(&name_in_log).copied().filter(|_| existed);
        let id = known.unwrap_or_else(|| log.create(name_in_log));
        drop(log);
        let recorded = file.cast::<RecordedFile>();
        (*recorded).file = id;
        (*recorded).recording = Arc::into_raw(recording);
        (*recorded).base.pMethods = &METHODS;
        SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite calls with our VFS and a C string.
    unsafe {
        if let Some((recording, name)) = path_of(name).and_then(recording_of) {
            // Before the call, because the call may sync the directory as well.
            let mut log = recording.log();
            if log.names.remove(&name).is_some() {
                log.events.push(Event::Removed { name });
            }
        }
        let unix = unix(vfs);
        (*unix).xDelete.map_or(SQLITE_ERROR, |delete| delete(unix, name, sync_directory))
    }
}

unsafe extern "C" fn access(vfs: *mut sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: the arguments are SQLite's, for the unix VFS.
    unsafe {
        let unix = unix(vfs);
        (*unix).xAccess.map_or(SQLITE_ERROR, |access| access(unix, name, flags, out))
    }
}

unsafe extern "C" fn full_pathname(vfs: *mut sqlite3_vfs, name: *const c_char, size: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the arguments are SQLite's, for the unix VFS.
    unsafe {
        let unix = unix(vfs);
        (*unix).xFullPathname.map_or(SQLITE_ERROR, |full_pathname| full_pathname(unix, name, size, out))
    }
}

/// # Safety
/// `file` is an open file of the unix VFS.
unsafe fn forward_close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the caller's.
    unsafe { (*(*file).pMethods).xClose.map_or(SQLITE_ERROR, |close| close(file)) }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file that `open` opened, once; the reference that `open` left goes with it.
    unsafe {
        let closed = forward_close(inner(file));
        drop(Arc::from_raw((*file.cast::<RecordedFile>()).recording));
        (*file).pMethods = std::ptr::null();
        closed
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, amount: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: the file is open, and SQLite gives `amount` bytes.
    unsafe {
        let (recording, id) = recorded(file);
        let written = std::slice::from_raw_parts(bytes.cast::<u8>(), amount as usize);
        // Under the log's lock, so that a sync that begins later covers what was written before and nothing else.
        let mut log = recording.log();
        let done = (*(*inner(file)).pMethods).xWrite.map_or(SQLITE_ERROR, |write| write(inner(file), bytes, amount, at));
        if done == SQLITE_OK {
            log.events.push(Event::Written { file: id, at: at as u64, bytes: written.into() });
        }
        done
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    unsafe {
        let (recording, id) = recorded(file);
        let mut log = recording.log();
        let done = (*(*inner(file)).pMethods).xTruncate.map_or(SQLITE_ERROR, |truncate| truncate(inner(file), size));
        if done == SQLITE_OK {
            log.events.push(Event::Truncated { file: id, size: size as u64 });
        }
        done
    }
}

/// Methods that go to the unix VFS's file and change nothing that lasts.
macro_rules! forwarded {
    ($($method:ident $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty, $otherwise:expr;)+) => {
        $(unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $kind),*) -> $answer {
            // SAFETY: the file is open; the arguments are SQLite's, for the unix VFS.
            unsafe { (*(*inner(file)).pMethods).$method.map_or($otherwise, |method| method(inner(file), $($argument),*)) }
        })+
    };
}

forwarded! {
    xRead read(bytes: *mut c_void, amount: c_int, at: sqlite3_int64) -> c_int, SQLITE_ERROR;
    // Recorded in `fsync`.
    xSync sync(flags: c_int) -> c_int, SQLITE_ERROR;
    xFileSize file_size(size: *mut sqlite3_int64) -> c_int, SQLITE_ERROR;
    xLock lock(level: c_int) -> c_int, SQLITE_ERROR;
    xUnlock unlock(level: c_int) -> c_int, SQLITE_ERROR;
    xCheckReservedLock check_reserved_lock(out: *mut c_int) -> c_int, SQLITE_ERROR;
    xFileControl file_control(operation: c_int, argument: *mut c_void) -> c_int, SQLITE_ERROR;
    xSectorSize sector_size() -> c_int, 4096;
    xDeviceCharacteristics device_characteristics() -> c_int, 0;
    xShmMap shm_map(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int, SQLITE_ERROR;
    xShmLock shm_lock(offset: c_int, count: c_int, flags: c_int) -> c_int, SQLITE_ERROR;
    xShmBarrier shm_barrier() -> (), ();
    xShmUnmap shm_unmap(remove: c_int) -> c_int, SQLITE_ERROR;
    xFetch fetch(at: sqlite3_int64, amount: c_int, out: *mut *mut c_void) -> c_int, SQLITE_ERROR;
    xUnfetch unfetch(at: sqlite3_int64, page: *mut c_void) -> c_int, SQLITE_ERROR;
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};
