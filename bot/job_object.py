"""Windows: a job object, whose processes end when the process that made it does.

The system closes our handle when we end, even by force, and that ends the job.
"""

import ctypes
import functools
import sys

if sys.platform == "win32":
    from ctypes import wintypes

    EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
    KILL_ON_JOB_CLOSE = 0x2000
    SET_QUOTA_AND_TERMINATE = 0x0101  # what AssignProcessToJobObject asks for

    class _BasicLimits(ctypes.Structure):
        _fields_ = (
            ("per_process_user_time_limit", wintypes.LARGE_INTEGER),
            ("per_job_user_time_limit", wintypes.LARGE_INTEGER),
            ("limit_flags", wintypes.DWORD),
            ("minimum_working_set_size", ctypes.c_size_t),
            ("maximum_working_set_size", ctypes.c_size_t),
            ("active_process_limit", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority_class", wintypes.DWORD),
            ("scheduling_class", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = (
            ("basic", _BasicLimits),
            ("io_counters", ctypes.c_ulonglong * 6),
            ("memory_limits", ctypes.c_size_t * 4),
        )

    @functools.cache
    def _kernel() -> ctypes.WinDLL:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = wintypes.HANDLE
        kernel.CreateJobObjectW.restype = handle
        kernel.CreateJobObjectW.argtypes = (ctypes.c_void_p, wintypes.LPCWSTR)
        kernel.SetInformationJobObject.argtypes = (
            *(handle, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD),
        )
        kernel.OpenProcess.restype = handle
        kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
        kernel.AssignProcessToJobObject.argtypes = (handle, handle)
        kernel.CloseHandle.argtypes = (handle,)
        return kernel

    @functools.cache
    def _job() -> int:
        """The one job of this process; its handle is never closed by us."""
        limits = _ExtendedLimits()
        limits.basic.limit_flags = KILL_ON_JOB_CLOSE
        job: int = _kernel().CreateJobObjectW(None, None)
        _kernel().SetInformationJobObject(
            job, EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        return job

    def add(pid: int) -> None:
        """Have the process, and all that it starts from now on, end with us."""
        process = _kernel().OpenProcess(SET_QUOTA_AND_TERMINATE, False, pid)
        if process:  # else it is over already
            _kernel().AssignProcessToJobObject(_job(), process)
            _kernel().CloseHandle(process)
