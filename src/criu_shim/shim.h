/* What isle-criu.so does in the place of libc's functions, by subject. */
#pragma once

/* Takes the descriptor of a list of mounts (proc_pid_mountinfo(5)) and returns one of a copy in which each ramfs is called a tmpfs:
 * criu makes a ramfs again, but empty; of a tmpfs it carries what is in it. -1 when the copy cannot be made: criu then ends, and
 * says that it could not open the list. */
int mounts_for_dump(int fd, int flags);

/* For criu's tar, about to be executed with these arguments: the directory on standard input goes to an archive on standard output,
 * or an archive on standard input into a directory. What is not packed already is not packed, and an empty directory, which most
 * file systems of a guest's own are, is done here: then it ends the process. */
void tar_prepare(char **argv);
