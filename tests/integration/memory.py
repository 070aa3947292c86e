"""What a set of processes costs a machine on which nobody else uses their libraries: the sum of their PSS if these
processes were the only ones. The kernel's own Pss shares each page of a library with every process that happens to
map it, tests and consoles included, and so depends on the company; this counts every page once.

It reads /proc/PID/pagemap, of which any user sees for the own processes what is needed here: is a page there, and is
it a file's. Its sum is smaps_rollup's, to the kilobyte, for processes in a mount namespace with copied libraries.
"""
import array
import mmap
import resource

PAGE = resource.getpagesize()
PRESENT, SWAPPED, OF_FILE = 1 << 63, 1 << 62, 1 << 61
KERNELS = ("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]")  # the same pages in every process


def pages(pid):
    """({mapping: own pages}, {mapping: numbers of the file's pages})"""
    own, of_files = {}, {}
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/pagemap", "rb", buffering=0) as map_of:
        for line in maps:
            span, _, offset, device, inode, *name = line.split(None, 5)
            name = name[0].strip() if name else "[anonymous]"
            if name in KERNELS:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            first = int(offset, 16) // mmap.PAGESIZE
            map_of.seek(start // PAGE * 8)
            entries = array.array("Q")
            entries.frombytes(map_of.read((end - start) // PAGE * 8))
            for n, entry in enumerate(entries):
                if not entry & (PRESENT | SWAPPED):
                    continue
                if entry & OF_FILE:
                    of_files.setdefault((device, inode, name), set()).add(first + n)
                else:
                    own[name] = own.get(name, 0) + 1
    return own, of_files


def together(pids):
    """(bytes of all, {mapping: bytes}), each page of a file counted once."""
    by_name, files = {}, {}
    for pid in pids:
        own, of_files = pages(pid)
        for name, count in own.items():
            by_name[name] = by_name.get(name, 0) + count * PAGE
        for key, numbers in of_files.items():
            files.setdefault(key, set()).update(numbers)
    for (_, _, name), numbers in files.items():
        by_name[name] = by_name.get(name, 0) + len(numbers) * PAGE
    return sum(by_name.values()), by_name


def told(by_name, most=12):
    """The largest costs, a line each."""
    largest = sorted(by_name.items(), key=lambda item: -item[1])[:most]
    return "\n".join(f"{size // 1024:7} KB  {name}" for name, size in largest)
