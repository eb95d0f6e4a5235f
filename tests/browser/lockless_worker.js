// A worker whose browser refuses Web Locks, as with cookies blocked or in a third-party frame.
import "./refuse_locks.js";
import "../../dist/worker-host.js";
