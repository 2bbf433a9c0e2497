# English. `$app` is the name of the application, `$count` a number.

## Every page
skip-to-content = Skip to content
navigation = Pages
back-to-app = Back to { $app }
cancel = Cancel
unknown = unknown

## Member page
home-title = Your connection
welcome-title = { $app } and Open Humans
welcome-text = Connect your Open Humans account to use your own data here. You decide what you share, and you can disconnect at any time.
log-in = Log in with Open Humans
connected-as = Connected as
connected-since = Connected since
member-id = Your ID in this project
username-private = a member whose username is private
shared-title = What you share
shared-sources = { $app } can read its own files and files from these sources:
shared-nothing = { $app } can read only the files that it stored in your account.
shared-unknown = We could not ask Open Humans what you share. Please try again in a few minutes.
change-sharing = View and change this at Open Humans
log-out = Log out
log-out-text = You stay connected and can log in again at any time.
leave-title = Leave { $app }
leave-text = Disconnect your account and decide what happens to your data here.
disconnect = Disconnect

## Log in and log out
not-logged-in-title = You are not logged in
log-in-title = Log in
log-in-confirm = Another website sent you here. Log in only if you intended to.
try-again = Try again

## Disconnect
disconnect-title = Disconnect { $app } from Open Humans?
disconnect-text = { $app } will no longer be able to read or write anything in your Open Humans account. You will be logged out here.
disconnect-data = Your data at { $app }
disconnect-keep = Keep my data
disconnect-keep-text = Your data stays here in case you come back. You can request its erasure later.
disconnect-erase = Erase my data
disconnect-erase-text = Everything that { $app } stores about you is deleted. This cannot be undone.

## Files
files-title = Your files
files-text = Files in your Open Humans account that { $app } can read.
files-empty = There are no files yet.
file-count =
    { $count ->
        [one] { $count } file
       *[other] { $count } files
    }
file-name = Name
file-type = Type
file-tags = Tags
file-date = Added
file-actions = Actions
file-description = Description
file-other-source = from another source, shared with { $app }
download = Download
edit = Edit
delete = Delete
action-on-file = { $action } { $file }
page-of = Page { $page } of { $pages }
next-page = Next
previous-page = Previous
upload-title = Add a file
upload-text = The file is stored in your Open Humans account.
upload-file = File
description-hint = A short description of the contents.
tags-hint = Separate tags with commas.
upload = Upload
uploading = Uploading: { $percent }%
upload-storing = Open Humans is storing the file.
upload-interrupted = The upload was interrupted. Please try again.
edit-title = Edit { $file }
edit-text = Open Humans cannot change the details of a file. Therefore, the file is stored again and the old copy is deleted. The contents stay the same.
save = Save
delete-title = Delete { $file }?
delete-text = The file is deleted from your Open Humans account. This cannot be undone.
delete-all = Delete all
delete-all-title = Delete all files from { $app }?
delete-all-text =
    { $count ->
        [one] { $count } file that { $app } stored in your Open Humans account is deleted.
       *[other] { $count } files that { $app } stored in your Open Humans account are deleted.
    } Files from other sources are not affected. This cannot be undone.

## Confirmations
done-uploaded = The file was uploaded.
done-edited = Your changes were saved.
done-edited-duplicate = Your changes were saved in a new file, but the old file could not be deleted. Please delete it yourself.
done-deleted = The file was deleted.
done-deleted-all = All files from this app were deleted.
done-disconnected = Your account is disconnected. Your data here was not deleted.
done-erasing = Your account is disconnected, and your data here is being deleted.
done-requeued = The event is in the queue again.
done-released = The event was released.
done-released-all = All quarantined events were released.

## Errors
error-title = That did not work
error-cross-site = The request did not come from a page of this app and was ignored.
error-not-logged-in = You are not logged in.
error-not-found = This page does not exist.
error-method-not-allowed = This page does not support the request method.
error-bad-request = The request is not valid.
error-internal = Something went wrong. Please try again in a few minutes.
error-no-such-file = The file does not exist or is no longer shared.
error-not-own-file = This file comes from another source and can be changed only there.
error-no-file = You did not choose a file.
error-empty-file = The file is empty.
error-too-large = The upload or the form is too large.
error-bad-form = The form could not be read.
error-invalid = Open Humans does not accept this: { $detail }.
error-disconnected = You are no longer connected. Please log in again.
error-timeout = Open Humans did not respond in time. Please try again.
error-open-humans = Open Humans did not respond as expected. Please try again in a few minutes.
error-store = { error-internal }
error-staff-only = This page is for the staff of { $app }.
error-not-quarantined = The event is not quarantined, or not any longer.
error-not-requeued = { requeue-superseded }

## Erasure dashboard
dashboard-title = Erasure dashboard
dashboard-text = Members who left, and the status of their data.
member-search = Find a member
ledger-export = Export
list-all = All
list-all-text = All events, whatever their status.
list-pending = Pending
list-pending-text = Waiting for the worker, being processed, or waiting for a retry.
list-overdue = Overdue
list-overdue-text = Received more than 30 days ago and not done. The law allows one month for an erasure request (GDPR Art. 12(3)). Open each event to see what blocks it. Fix the cause of a dead letter and requeue it. If an event is pending, check that the worker is running.
list-dead-letter = Dead letters
list-dead-letter-text = The app's handler failed too often, so the worker stopped retrying. The member's data may still exist. Read the last error, fix the cause, and requeue the event.
list-done = Done
list-done-text = The app's handler finished. Only a pseudonym of the member remains here.
list-stale = Stale
list-stale-text = Older than the member's latest authorization. The member rejoined, so nothing was deleted.
list-quarantined = Quarantined
list-quarantined-text = Not processed because something looks wrong: unusually many members appear to have left, a webhook arrived days late, or a member requested erasure here and could not be removed at Open Humans. The history of the event states the reason. With a restored backup or the wrong credentials, every member appears to have left. Check that this is the right database with the right credentials, then release the events that are genuine.
state-pending = Pending
state-done = Done
state-dead-letter = Dead letter
state-stale = Stale
state-quarantined = Quarantined
release = Release
release-all = Release all
release-all-title =
    { $count ->
        [one] Release { $count } quarantined event?
       *[other] Release all { $count } quarantined events?
    }
release-all-text = The tokens of these members are destroyed, and their data is deleted according to the app's policy. This cannot be undone.
events-empty = There are no events in this list.
attention = Needs attention
attention-none = Nothing needs your attention.
oldest-pending = Oldest pending event
running = In progress
running-none = No event is being processed.
background = Background tasks
worker = Worker
worker-text = Processes erasure requests and other departures.
reconciler = Reconciler
reconciler-text = Finds members who left without a notification.
worker-alive = running, last heartbeat { $ago } ago
worker-silent = no heartbeat for { $ago }
reconciler-active = running
reconciler-finished = last pass { $ago } ago
never-seen = never seen
worker-hint = If the worker should be running, check that the process that starts the background tasks is up, and read its log.
checkpoint-title = Proof
checkpoint-text = The ledger is signed at regular intervals. With a checkpoint, anyone can later detect whether an earlier line was changed, removed or inserted. Give checkpoints to your auditors.
checkpoint-covers =
    { $count ->
        [one] covers { $count } line, signed { $ago } ago
       *[other] covers { $count } lines, signed { $ago } ago
    }
checkpoint-note = Latest checkpoint
checkpoint-download = Download checkpoint
checkpoint-none = not signed
checkpoint-no-key = Nothing has been signed. Signing requires a key, which the command oh ledger keygen creates.
checkpoint-not-yet = Nothing has been signed yet. The first checkpoint follows within a minute while the background tasks are running.
checkpoint-conflict = The ledger does not match its last checkpoint
checkpoint-conflict-text = If you restored a backup, continue with a new ledger name and a new key. Otherwise, someone changed the database.
durations-title = Time to completion
durations-text =
    { $count ->
        [one] The latest completed event, from receipt to completion.
       *[other] The latest { $count } completed events, from receipt to completion.
    }
duration-median = Median
duration-p95 = 95th percentile
duration-max = Longest
plot-received = Events received
plot-received-text = The latest { $count }, by date of receipt. Open events are highlighted.
plot-duration = Time to completion over time
plot-duration-text = Median and longest time for each interval, on a logarithmic scale.
plot-table = Show as a table
plot-start = From
plot-open = open
plot-median = median
plot-max = longest
received = Received
state = Status
pseudonym = Member (pseudonym)
erasure = Erasure
discovery = Discovered by
attempts = Attempts
duration = Duration
waiting-for = waiting for { $ago }
left-at = Left
settled-at = Finished
due-at = Next attempt
event = Event
events = Events
older = Older
newest = Latest
requeue = Requeue
requeue-superseded = This event was superseded: another event of the same member is done, and the member's ID was deleted.
requeue-stale = Requeue only if the member did not rejoin. The event is then processed although it is older than the authorization.
history = History
history-truncated = These are the latest { $count } lines. The export contains all of them.
step = Step
step-received = Received
step-tokens-destroyed = Tokens destroyed, sessions ended
step-tried = Handler called
step-failed = Handler failed
step-done = Done
step-dead-lettered = Dead-lettered
step-requeued = Requeued
step-quarantined = Quarantined
step-released = Released
step-stale = Found stale
attempt = Attempt
note = Note
time = Time
member-search-label = Project member ID or pseudonym
member-search-hint = The project member ID has 8 digits, the pseudonym 32. The ledger contains pseudonyms only.
search = Search
member-not-found = Nothing is recorded for this member.
more-than = more than { $count }
erasure-requested = requested
erasure-not-requested = not requested
erasure-unknown = unknown
discovery-webhook = webhook
discovery-reconciliation = reconciliation
discovery-token-loss = token loss
discovery-disconnected = disconnected here
