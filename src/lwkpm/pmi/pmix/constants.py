"""Names and numbers of the PMIx Standard that the server uses. Those of rare requests are in the modules for these."""

from __future__ import annotations

# Status codes.
SUCCESS = 0
ERROR = -1
ERR_TIMEOUT = -24
ERR_BAD_PARAM = -27
ERR_OUT_OF_RESOURCE = -29
ERR_INVALID_NAMESPACE = -44
ERR_NOT_FOUND = -46
ERR_NOT_SUPPORTED = -47
ERR_PARTIAL_SUCCESS = -52
ERR_DUPLICATE_KEY = -53
ERR_LOST_CONNECTION = -61
OPERATION_SUCCEEDED = -157
ERR_JOB_APP_NOT_EXECUTABLE = -177
ERR_JOB_FAILED_TO_MAP = -179
ERR_JOB_FAILED_TO_LAUNCH = -181
ERR_JOB_ABORTED = -182
ERR_JOB_EXE_NOT_FOUND = -190
ERR_PROC_TERM_WO_SYNC = -200
ERR_JOB_WDIR_NOT_FOUND = -233

# Ranks and ranges.
RANK_UNDEF = 0xFFFFFFFF
RANK_WILDCARD = 0xFFFFFFFE
RANGE_LOCAL = 2
RANGE_NAMESPACE = 3
RANGE_SESSION = 4
RANGE_PROC_LOCAL = 7
PERSIST_FIRST_READ = 1
PERSIST_PROC = 2
PERSIST_APP = 3
PERSIST_LONGER = (0, 4)  # until deleted, until the session ends

# Data types.
BOOL = 1
BYTE = 2
STRING = 3
SIZE = 4
PID = 5
INT = 6
INT8 = 7
INT16 = 8
INT32 = 9
INT64 = 10
UINT = 11
UINT8 = 12
UINT16 = 13
UINT32 = 14
UINT64 = 15
FLOAT = 16
DOUBLE = 17
TIMEVAL = 18
TIME = 19
STATUS = 20
PROC = 22
INFO = 24
BYTE_OBJECT = 27
PERSIST = 30
POINTER = 31
SCOPE = 32
DATA_RANGE = 33
PROC_STATE = 37
DATA_ARRAY = 39
PROC_RANK = 40
COMPRESSED_STRING = 42
ALLOC_DIRECTIVE = 43
ENVAR = 46
REGEX = 49
JOB_STATE = 50
LINK_STATE = 51
COMPRESSED_BYTE_OBJECT = 59

# Attributes: server.
SERVER_TMPDIR = "pmix.srvr.tmpdir"
SYSTEM_TMPDIR = "pmix.sys.tmpdir"
SERVER_NSPACE = "pmix.srv.nspace"
SERVER_TOOL_SUPPORT = "pmix.srvr.tool"
IOF_LOCAL_OUTPUT = "pmix.iof.local"
SERVER_RANK = "pmix.srv.rank"

# Attributes: job.
JOBID = "pmix.jobid"
UNIV_SIZE = "pmix.univ.size"
JOB_SIZE = "pmix.job.size"
JOB_NUM_APPS = "pmix.job.napps"
MAX_PROCS = "pmix.max.size"
NUM_NODES = "pmix.num.nodes"
LOCAL_SIZE = "pmix.local.size"
NODE_SIZE = "pmix.node.size"
NODE_MAP = "pmix.nmap"
PROC_MAP = "pmix.pmap"
LOCAL_PEERS = "pmix.lpeers"
LOCALLDR = "pmix.lldr"
ANL_MAP = "pmix.anlmap"
PARENT_ID = "pmix.parent"
SPAWNED = "pmix.spawned"
PSET_NAME = "pmix.pset.nm"

# Attributes: application and process.
APP_INFO_ARRAY = "pmix.app.arr"
APP_SIZE = "pmix.app.size"
APPLDR = "pmix.aldr"
PROC_DATA = "pmix.pdata"
RANK = "pmix.rank"
GLOBAL_RANK = "pmix.grank"
APP_RANK = "pmix.apprank"
APPNUM = "pmix.appnum"
LOCAL_RANK = "pmix.lrank"
NODE_RANK = "pmix.nrank"
HOSTNAME = "pmix.hname"
USERID = "pmix.euid"
GRPID = "pmix.egid"
NODEID = "pmix.nodeid"

# Attributes: requests.
WAIT = "pmix.wait"
TIMEOUT = "pmix.timeout"
RANGE = "pmix.range"
PERSISTENCE = "pmix.persist"
COLLECT_DATA = "pmix.collect"
LOG_STDERR = "pmix.log.stderr"
LOG_STDOUT = "pmix.log.stdout"
LOG_SYSLOG = "pmix.log.syslog"
LOG_LOCAL_SYSLOG = "pmix.log.lsys"
LOG_GLOBAL_SYSLOG = "pmix.log.gsys"
EVENT_AFFECTED_PROC = "pmix.evproc"
GROUP_DESTRUCT = 1
GROUP_MEMBERSHIP = "pmix.grp.mbrs"
GROUP_ASSIGN_CONTEXT_ID = "pmix.grp.actxid"
GROUP_CONTEXT_ID = "pmix.grp.ctxid"
