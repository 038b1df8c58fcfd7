/** The kill switch from where an approver is: on a request's card, and beside live access (threats RQ-18). */
import { Modal } from '@mantine/core';
import type { Instance, Person } from '../../../shared/access.ts';
import type { KillSwitch, SwitchTarget } from '../../../shared/kill-switch.ts';
import { nameOf, seen } from '../../look/words.ts';
import { useMain } from '../app-context.ts';
import page from '../page.module.css';
import { KillForm } from './kill-form.tsx';

/** What can be stopped there: the person, and each of the instances. */
const targetsOf = (person: Person, instances: readonly Instance[], isAdmin: boolean): SwitchTarget[] => [
  {
    scope: { kind: 'person', personId: person.id },
    name: person.displayName,
    detail: isAdmin ? 'a person, on all instances' : 'a person, where you may decide',
  },
  ...instances.map((instance): SwitchTarget => {
    const { accountId, region, instanceId } = instance;
    const detail = `an instance, for everybody, ${instance.accountName}`;
    return { scope: { kind: 'instance', instance: { accountId, region, instanceId } }, name: nameOf(instance), detail };
  }),
];

type Props = {
  person: Person;
  instances: readonly Instance[];
  onPulled: (pulled: KillSwitch) => void;
  onClose: () => void;
};

export const StopDialog = ({ person, instances, onPulled, onClose }: Props) => {
  const { state } = useMain();
  const isAdmin = state.overview?.me.isAdmin === true;
  return (
    <Modal
      opened
      onClose={onClose}
      size="42rem"
      title={`Stop access of ${seen(person.displayName)}, or to an instance`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <div className={page['dialog']}>
        <p className={page['s2']}>
          It ends what lives and keeps it from beginning again until it is lifted: by you, or by an admin.
          {isAdmin ? '' : ' A person is stopped on the instances that you may decide about.'}
        </p>
        <KillForm
          among={targetsOf(person, instances, isAdmin)}
          onPulled={(pulled) => {
            onClose();
            onPulled(pulled);
          }}
        />
      </div>
    </Modal>
  );
};
