#!/bin/sh
# A post-commit hook for Subversion and git. It leaves a note for commit-notify, and returns at once:
# it waits for no network, and whatever goes wrong, the commit is made.
#
#     cp commit_notify_hook.sh /srv/svn/site/hooks/post-commit     # Subversion
#     cp commit_notify_hook.sh .git/hooks/post-commit              # git
#
# A note is written as part.*, and renamed to note.* when it is complete. Its name alone says which
# commit it is about, so that one that was cut off is told, too.
queue=/var/spool/commit-notify
# Subversion runs hooks without any environment.
PATH=/usr/local/bin:/usr/bin:/bin
LC_ALL=C.UTF-8
export PATH LC_ALL

if [ $# -ge 2 ]; then
    repository=$1 number=$2 revision=r$2
    name=$(basename "$repository")
    author() { svnlook author -r "$number" "$repository"; }
    log() { svnlook log -r "$number" "$repository"; }
    paths() { svnlook changed -r "$number" "$repository"; }
else
    name=$(basename "$(git rev-parse --show-toplevel)")
    revision=$(git rev-parse HEAD)
    author() { git log -1 --format=%an; }
    log() { git log -1 --format=%B; }
    paths() {
        git -c core.quotePath=off diff-tree -r --root --no-commit-id --name-status HEAD
    }
fi

part=$queue/part.$revision.$$.$name
{
    printf 'author: %s\n' "$(author)"
    log | head -c 5000 | sed 's/^/ /'
    echo
    paths | awk 'NR <= 1000 { print } END { print "count: " NR }'
} 2>/dev/null >"$part" && mv "$part" "$queue/note.$revision.$$.$name" ||
    echo "commit-notify: $queue cannot be written; nobody is told of this commit" >&2
exit 0
